#include "worker/epoch_session.h"

#include <utility>

#include "core/base/error.h"

namespace convoy::worker {

EpochSession::EpochSession(const Uuid& self, std::function<void(const Ballot&, cluster::SealAnswer)> answer,
                           std::function<void()> abort)
    : answer_(std::move(answer)), abort_(std::move(abort)), participant_(self) {}

void EpochSession::on_seal(const Ballot& ballot, const cluster::Seal& seal) {
  const std::lock_guard lock(mutex_);
  carry_out(participant_.on_seal(ballot, seal));
}

void EpochSession::on_epoch(const Ballot& ballot, const cluster::Epoch& epoch) {
  const std::lock_guard lock(mutex_);
  const Ballot before = participant_.entered();
  Duties duties = participant_.on_epoch(ballot, epoch);
  if (participant_.entered() != before) epoch_ = epoch;
  carry_out(std::move(duties));
}

void EpochSession::end() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
    sealed_.request_stop();
  }
  changed_.notify_all();
}

void EpochSession::applied(std::uint64_t checksum) {
  const std::lock_guard lock(mutex_);
  carry_out(participant_.applied(checksum));
}

void EpochSession::restored(const Ballot& ballot) {
  const std::lock_guard lock(mutex_);
  carry_out(participant_.restored(ballot));
}

void EpochSession::no_gradient(const Ballot& ballot) {
  const std::lock_guard lock(mutex_);
  carry_out(participant_.no_gradient(ballot));
}

void EpochSession::unreachable(const Ballot& ballot, const std::vector<Uuid>& peers) {
  const std::lock_guard lock(mutex_);
  if (participant_.entered() == ballot) participant_.lost(peers);
}

// Under the lock.
void EpochSession::carry_out(Duties duties) {
  for (Duty& duty : duties) {
    if (auto* answer = std::get_if<Answer>(&duty)) {
      answer_(answer->ballot, std::move(answer->answer));
    } else if (std::holds_alternative<AbortCommunication>(duty)) {
      task_.reset();
      sealed_.request_stop();
      abort_();
    } else if (auto* fetch = std::get_if<Fetch>(&duty)) {
      sealed_ = {};
      task_ = FetchState{.fetch = std::move(*fetch), .epoch = epoch_, .sealed = sealed_.get_token()};
    } else if (const auto* enter = std::get_if<Enter>(&duty)) {
      sealed_ = {};
      task_ = EnterEpoch{.ballot = enter->ballot, .epoch = epoch_, .sealed = sealed_.get_token()};
    } else if (auto* fault = std::get_if<Fault>(&duty)) {
      fault_ = std::move(fault->reason);
    }
  }
  if (!duties.empty()) changed_.notify_all();
}

bool EpochSession::has_task() const {
  const std::lock_guard lock(mutex_);
  return task_ || over_ || fault_;
}

Task EpochSession::next_task() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return task_ || over_ || fault_; });
  if (over_) return RunIsOver{};
  if (fault_) fail(ErrorCode::kInternal, "{}", *fault_);
  return *std::exchange(task_, std::nullopt);
}

cluster::Standing EpochSession::standing() const {
  const std::lock_guard lock(mutex_);
  return participant_.standing();
}

std::int64_t EpochSession::steps_applied() const {
  const std::lock_guard lock(mutex_);
  return participant_.step();
}

Ballot EpochSession::entered() const {
  const std::lock_guard lock(mutex_);
  return participant_.entered();
}

Offer::Kind EpochSession::offers(const Ballot& ballot, Pull::What what, std::int64_t step) const {
  const std::lock_guard lock(mutex_);
  if (participant_.entered() < ballot) return Offer::Kind::kNotYet;
  const bool serves =
      what == Pull::What::kState ? participant_.serves_state(ballot, step) : participant_.serves_gradient(ballot, step);
  return serves ? Offer::Kind::kHere : Offer::Kind::kNever;
}

}  // namespace convoy::worker
