// Work that a device does by itself: queues of launches ("streams"), and events that order them.
//
// What is launched on one stream runs in that order; between streams nothing is ordered but by events. Who launches
// goes on at once, and may touch the memory of what was launched only behind synchronize(). Memory that is released
// (Device::release) goes back in the order of the compute stream: what is launched there later may get it, and work on
// other streams that touches it must come before by an event that the compute stream has waited for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "core/device/device.h"

namespace convoy {

enum class Stream : std::uint8_t { kCompute, kCommunication };
inline constexpr std::size_t kStreams = 2;

constexpr std::string_view name_of(Stream stream) { return stream == Stream::kCompute ? "compute" : "communication"; }

// What had been launched on a stream at one time. The first one, which is over already, is no event.
struct Event {
  std::uint64_t number = 0;
};

// Bytes of the device's memory.
struct MemoryRange {
  const void* data = nullptr;
  std::size_t bytes = 0;
};

// Whether there is a byte in both.
inline bool overlap(const MemoryRange& a, const MemoryRange& b) {
  const auto* const a_begin = static_cast<const std::byte*>(a.data);
  const auto* const b_begin = static_cast<const std::byte*>(b.data);
  return a.bytes > 0 && b.bytes > 0 && a_begin < b_begin + b.bytes && b_begin < a_begin + a.bytes;
}

// A piece of work and all memory of the device that it touches. The spans are read during launch() alone.
struct Launch {
  std::string_view name;  // of the kernel
  std::span<const MemoryRange> reads{};
  std::span<const MemoryRange> writes{};
  std::function<void()> run;  // at once, by a device that queues what kernels launch, or later, by one that does not
};

class Streams {
 public:
  virtual ~Streams() = default;

  virtual void launch(Stream stream, Launch launch) = 0;
  virtual Event record(Stream stream) = 0;
  // What is launched on `stream` from now on starts behind the event.
  virtual void wait(Stream stream, Event event) = 0;
  // The calling thread waits.
  virtual void synchronize(Event event) = 0;
};

// Null for a device whose kernels run at once, on the thread that asks for them, as the CPU's do.
inline Streams* streams_of(Device& device) { return dynamic_cast<Streams*>(&device); }

}  // namespace convoy
