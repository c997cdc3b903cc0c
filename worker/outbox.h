// What a worker has to report of the steps it took part in, until the scheduler has it on record. Every worker keeps
// one, so that whoever is rank 0 next can send again what the one before may not have got through. For one thread at a
// time.
#pragma once

#include <cstdint>
#include <deque>

#include "cluster/messages.h"

namespace convoy::worker {

class Outbox {
 public:
  // `step`: after which this is. In the order of steps.
  void add(std::int64_t step, cluster::Body body);
  // Every report of steps up to this one is on record. What else is said of the last of them may not be, yet.
  void recorded(std::int64_t step);
  void recorded_all() { reports_.clear(); }

  // Oldest first.
  template <typename Send>
  void for_each(Send send) const {
    for (const Report& report : reports_) send(report.body);
  }
  static constexpr std::int64_t kNone = -1;
  std::int64_t oldest() const { return reports_.empty() ? kNone : reports_.front().step; }

 private:
  struct Report {
    std::int64_t step = 0;
    cluster::Body body;
  };
  std::deque<Report> reports_;
};

}  // namespace convoy::worker
