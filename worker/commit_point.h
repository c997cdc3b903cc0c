// The instant at which a step counts: between the last byte of its reduction and its update.
//
// The training thread opens a step, completes it once the reduced gradient is whole, applies the update and closes it.
// Any other thread may abort, until the step is complete: one compare-and-swap decides which of the two happened, so
// that a worker's answer to a seal is never overtaken by an update. Lock-free.
//
//   idle ──begin──▶ reducing ──complete──▶ reduced ──applied──▶ idle
//     └─────abort──────┴──▶ aborting ──reopen──▶ idle
#pragma once

#include <atomic>
#include <cstdint>

namespace convoy::worker {

class CommitPoint {
 public:
  enum class State : std::uint8_t { kIdle, kReducing, kReduced, kAborting };

  CommitPoint() = default;
  // A copy starts from what the other one holds at this moment.
  CommitPoint(const CommitPoint& other) : state_(other.state()) {}
  CommitPoint& operator=(const CommitPoint& other) {
    state_.store(other.state());
    return *this;
  }

  State state() const { return state_.load(std::memory_order_acquire); }

  // By the training thread. False: somebody aborted, and the step must not go on.
  bool begin() { return swap(State::kIdle, State::kReducing); }
  bool complete() { return swap(State::kReducing, State::kReduced); }
  // Once the update is done. Only from reduced.
  void applied() { state_.store(State::kIdle, std::memory_order_release); }

  // By any thread. False: the step is complete; it will be applied, and only then can be aborted what comes next.
  bool abort() {
    for (State seen = state(); seen != State::kReduced;) {
      if (seen == State::kAborting || state_.compare_exchange_weak(seen, State::kAborting)) return true;
    }
    return false;
  }
  // By whoever makes the training thread part of the next epoch.
  void reopen() { swap(State::kAborting, State::kIdle); }

 private:
  bool swap(State from, State to) { return state_.compare_exchange_strong(from, to, std::memory_order_acq_rel); }

  std::atomic<State> state_{State::kIdle};
};

}  // namespace convoy::worker
