// A device that is not there, for tests of whoever schedules work: it runs kernels on the host, but not when they are
// launched, and watches what is promised of streams, events and memory (core/device/streams.h).
//
// - Work waits in its streams' queues. Now and then, and when somebody synchronises, some of it runs, in an order drawn
//   from a seed among all that streams and events allow: where a wait is missing, results go wrong for some seeds.
// - Whatever the order was, a launch that touches bytes of another stream's launch is reported unless events order the
//   two (and one of them at least does not write).
// - Operands must lie in memory that is allocated and not released; memory must not be released while another stream's
//   work may still touch it. What is released is overwritten with NaN.
//
// What is wrong is thrown as Error(kInternal) by the next synchronize(), in one line. Everything is written to log().
#pragma once

#include <cstdint>
#include <deque>
#include <exception>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "core/device/cpu_device.h"
#include "core/device/fake/fake_memory.h"
#include "core/device/fake/ordering.h"
#include "core/device/streams.h"

namespace convoy {

// From one thread. Functions are virtual so that they are the module's own (libconvoy_fake.so), whoever calls them.
class FakeDevice : public Device, public Streams {
 public:
  explicit FakeDevice(std::uint64_t seed);
  ~FakeDevice() override;

  std::string_view kind() const override { return "fake"; }
  void* allocate(std::size_t bytes) override;
  void release(void* data, std::size_t bytes) noexcept override;
  void copy(void* to, const void* from, std::size_t bytes) override;
  void synchronize() override;

  void launch(Stream stream, Launch launch) override;
  Event record(Stream stream) override;
  void wait(Stream stream, Event event) override;
  void synchronize(Event event) override;

  // Runs the kernels.
  virtual CpuDevice& host() { return host_; }
  // "allocate 1: 256 bytes", "launch linear on compute: reads 1, 2; writes 3", "record 4 on compute",
  // "wait for 4 on communication", "release 1", "synchronize": blocks and events by their numbers.
  virtual const std::vector<std::string>& log() const { return log_; }
  virtual std::size_t bytes_in_use() const { return memory_.bytes_in_use(); }

 private:
  // What waits in a queue: work, an event that it completes or waits for, or memory to overwrite.
  struct Item {
    enum class Kind : std::uint8_t { kLaunch, kRecord, kWait, kRelease } kind;
    std::function<void()> run{};
    std::uint64_t event = 0;
    const void* block = nullptr;
  };
  struct Access {
    MemoryRange range;
    bool writes = false;
  };
  // A launch that the host does not know to be over.
  struct Pending {
    Ordering::Point point;
    std::string name;
    std::vector<Access> accesses;
  };

  std::deque<Item>& queue(Stream stream) { return queues_[static_cast<std::size_t>(stream)]; }
  void note(const std::string& violation) { violations_.push_back(violation); }
  void throw_what_is_wrong();
  std::string check_operands(const Pending& launch);
  void check_races(const Pending& launch);
  bool can_run(const std::deque<Item>& items) const;
  // Runs the next item of some stream; false where none can.
  bool run_one();
  void run_some();
  void run(Item item);
  void forget_what_is_over();

  CpuDevice host_;
  FakeMemory memory_;
  Ordering ordering_;
  std::array<std::deque<Item>, kStreams> queues_;
  std::set<std::uint64_t> completed_;  // events
  std::vector<Pending> pending_;
  std::mt19937_64 random_;
  bool running_ = false;      // a kernel, whose own memory nobody watches
  std::exception_ptr error_;  // that one threw
  std::vector<std::string> log_, violations_;
};

}  // namespace convoy
