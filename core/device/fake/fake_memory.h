// The fake device's memory: blocks of the host's, and which of them are in use. A block that was released is
// overwritten, so that what is read of it is noticed, and kept apart until the device goes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>

#include "core/device/streams.h"

namespace convoy {

class FakeMemory {
 public:
  struct Block {
    std::uint64_t number = 0;  // from 1, in the order in which they were allocated
    std::size_t bytes = 0;
    bool released = false;
  };

  FakeMemory() = default;
  ~FakeMemory();
  FakeMemory(const FakeMemory&) = delete;
  FakeMemory& operator=(const FakeMemory&) = delete;

  void* allocate(std::size_t bytes);
  // The block that begins there; null where none does.
  Block* find(const void* data);
  // The block that holds the whole range.
  const Block* holding(const MemoryRange& range) const;
  // Overwrites a block's elements with NaN.
  void poison(const void* data);

  std::size_t bytes_in_use() const;

 private:
  std::map<std::byte*, Block> blocks_;
  std::uint64_t last_ = 0;
};

}  // namespace convoy
