// How a plan runs on a device with streams: its calls are launched on the compute stream, each with the memory that it
// touches, and those that write over a result wait until whoever took it has read it.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/device/streams.h"
#include "core/graph/plan.h"

namespace convoy {

// The bytes between a tensor's first element and its last.
MemoryRange range_of(const Tensor& tensor);

struct Plan::Launches {
  struct Info {
    std::string name;
    std::vector<MemoryRange> reads, writes;
    std::vector<std::size_t> over;  // results that lie where it writes
  };

  // Lets the compute stream wait for those who read what is going to be written over.
  void wait_for_readers(const Info& info);
  void launch(const Info& info, std::function<void()> run);

  Streams& streams;
  std::vector<Info> inputs;   // the places that inputs are copied to
  std::vector<Info> calls;    // in the order of Plan::calls_
  std::vector<Info> poisons;  // behind each call; nothing where no memory dies
  std::vector<Event> held;    // by result: until when it is read
};

}  // namespace convoy
