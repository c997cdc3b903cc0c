// Who comes before whom: what is known of the order of launches from streams, events and waits alone, whenever they run
// (vector clocks; Fidge 1988, Mattern 1989).
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <unordered_map>

#include "core/device/streams.h"

namespace convoy {

class Ordering {
 public:
  // Of every stream, how many of its launches are known to be over.
  using Clock = std::array<std::uint64_t, kStreams>;

  // The n-th launch of a stream, from 1, and what comes before it (and it itself).
  struct Point {
    Stream stream = Stream::kCompute;
    Clock clock{};

    std::uint64_t number() const { return clock[static_cast<std::size_t>(stream)]; }
    bool is_before(const Clock& later) const { return later[static_cast<std::size_t>(stream)] >= number(); }
  };

  Point launch(Stream stream) {
    Clock& clock = clocks_[index(stream)];
    join(clock, host_);  // the thread that launches has waited for this
    ++clock[index(stream)];
    return {stream, clock};
  }
  Event record(Stream stream) {
    events_[++last_event_] = clocks_[index(stream)];
    return {last_event_};
  }
  void wait(Stream stream, Event event) { join(clocks_[index(stream)], events_[event.number]); }
  void synchronize(Event event) { join(host_, events_[event.number]); }
  void synchronize() {
    for (const Clock& clock : clocks_) join(host_, clock);
  }

  // What comes before whatever is launched on the stream next; before whatever the host does next.
  const Clock& of(Stream stream) const { return clocks_[index(stream)]; }
  const Clock& host() const { return host_; }
  bool has(Event event) const { return event.number <= last_event_; }

 private:
  static std::size_t index(Stream stream) { return static_cast<std::size_t>(stream); }
  static void join(Clock& to, const Clock& from) {
    for (std::size_t i = 0; i < kStreams; ++i) to[i] = std::max(to[i], from[i]);
  }

  std::array<Clock, kStreams> clocks_{};
  Clock host_{};
  std::unordered_map<std::uint64_t, Clock> events_;
  std::uint64_t last_event_ = 0;
};

}  // namespace convoy
