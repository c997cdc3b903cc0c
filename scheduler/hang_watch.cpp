#include "scheduler/hang_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace convoy::scheduler {

namespace {

using cluster::Phase;

// A scheduler that did not run for this long was stopped, or its machine asleep.
constexpr double kOwnSilence_s = 2.0;
// That the percentile is taken of.
constexpr std::size_t kSteps = 1000;

// Phases that may take longer than any step without a kernel.
bool works_without_kernels(Phase phase) { return phase == Phase::kStarting || phase == Phase::kCheckpointing; }
// Phases that end whatever the others do. An evaluation computes and reduces in one phase.
bool needs_nobody(Phase phase) { return phase == Phase::kForwardBackward || phase == Phase::kUpdating; }
bool waits_for_others(Phase phase) { return phase == Phase::kReducing || phase == Phase::kWaiting; }

}  // namespace

double seconds(Time::duration duration) { return std::chrono::duration<double>(duration).count(); }
Time after(Time now, double wait_s) {
  return now + std::chrono::duration_cast<Time::duration>(std::chrono::duration<double>(wait_s));
}

HangWatch::HangWatch(double suspect_s, double hang_s, Time now)
    : suspect_s_(suspect_s), hang_s_(hang_s), last_tick_(now), last_step_(now), furthest_since_(now) {}

double HangWatch::limit_s() const { return std::max(hang_s_, 5 * long_step_s()); }

double HangWatch::long_step_s() const {
  if (std::exchange(is_stale_, false)) {
    std::vector<double> steps = steps_s_;
    const auto percentile = steps.begin() + (std::ssize(steps) * 99 + 99) / 100 - 1;
    std::ranges::nth_element(steps, percentile);
    long_step_s_ = *percentile;
  }
  return long_step_s_;
}

void HangWatch::heartbeat(Worker& worker, const cluster::Heartbeat& message, Time now) {
  // A worker in its next step has completed one, and the others with it. Whatever else it does says nothing of them.
  if (message.step > worker.step) last_step_ = now;
  if (message.step > furthest_) {
    furthest_ = message.step;
    last_interval_s_ = seconds(now - std::exchange(furthest_since_, now));
  }
  if (message.step > worker.step || message.phase != worker.phase || message.activity != worker.activity ||
      works_without_kernels(message.phase)) {
    worker.moved = now;
  }
  worker.step = message.step;
  worker.phase = message.phase;
  worker.activity = message.activity;
}

void HangWatch::step_done(const cluster::StepReport& report, Time now) {
  last_step_ = now;
  // A step that began in another company was broken off and waited for: were it to count, each hang would make the next
  // one longer.
  const bool was_redone = last_ballot_ != Ballot{} && report.ballot != last_ballot_;
  last_ballot_ = report.ballot;
  if (was_redone) return;
  if (steps_s_.size() < kSteps) {
    steps_s_.push_back(report.step_ms / 1e3);
  } else {
    steps_s_[std::exchange(next_, (next_ + 1) % kSteps)] = report.step_ms / 1e3;
  }
  is_stale_ = true;
}

void HangWatch::begin(std::span<Worker* const> workers, Time now) {
  for (Worker* worker : workers) {
    worker->heard = worker->moved = now;
    worker->silent = false;
  }
  last_step_ = furthest_since_ = now;
  last_interval_s_ = 0;
}

void HangWatch::on_tick(std::span<Worker* const> workers, Time now) {
  if (seconds(now - last_tick_) > kOwnSilence_s) begin(workers, now);
  last_tick_ = now;
}

bool HangWatch::steps_go_on(Time now) const {
  const double usual = std::max(2 * long_step_s(), std::min(2 * last_interval_s_, limit_s()));
  return seconds(now - last_step_) <= std::max(suspect_s_, usual);
}

std::vector<Worker*> HangWatch::silent(std::span<Worker* const> members, Time now) const {
  std::vector<Worker*> found;
  if (steps_go_on(now)) return found;
  for (Worker* worker : members) {
    if (worker->present() && !worker->silent && is_silent(*worker, now)) found.push_back(worker);
  }
  return found;
}

bool HangWatch::is_silent(const Worker& worker, Time now) const { return seconds(now - worker.heard) > suspect_s_; }

bool HangWatch::is_mute(const Worker& worker, Time now) const { return seconds(now - worker.heard) > limit_s(); }

std::optional<Hang> HangWatch::hang(std::span<Worker* const> members, Time now) const {
  const double limit = limit_s();
  const double standstill = seconds(now - last_step_);
  if (standstill <= limit) return std::nullopt;
  // Whoever was stopped said last what it was at when all was well: it is the one that says nothing any more.
  const double patience = std::min(suspect_s_, limit / 2);
  Worker* mute = nullptr;
  bool all_heard = true;
  for (Worker* worker : members) {
    if (!worker->present() || seconds(worker->heard - last_step_) >= limit) continue;
    all_heard = false;
    if (seconds(now - worker->heard) > limit + patience && (mute == nullptr || worker->heard < mute->heard))
      mute = worker;
  }
  if (mute != nullptr) {
    return Hang{.culprit = mute,
                .reason = fmt::format("{} hangs: no step was completed for {:.0f} s and it has been silent for {:.0f} "
                                      "s; it was last in phase {} of step {}",
                                      title(mute->member), standstill, seconds(now - mute->heard),
                                      cluster::phase_name(mute->phase), mute->step)};
  }
  if (!all_heard) return std::nullopt;
  Worker* stuck = nullptr;    // with nobody to wait for
  Worker* culprit = nullptr;  // the one furthest behind among those that do not wait
  const Worker* present = nullptr;
  bool all_idle = true;
  const auto behind = [](const Worker& worker, const Worker* other) {
    return other == nullptr || worker.step < other->step;
  };
  for (Worker* worker : members) {
    if (!worker->present()) continue;
    if (present == nullptr) present = worker;
    const bool idle = seconds(now - worker->moved) > limit;
    all_idle = all_idle && idle;
    if (idle && needs_nobody(worker->phase) && behind(*worker, stuck)) stuck = worker;
    if (!waits_for_others(worker->phase) && behind(*worker, culprit)) culprit = worker;
  }
  if (stuck != nullptr) culprit = stuck;
  if ((stuck == nullptr && !all_idle) || present == nullptr) return std::nullopt;
  if (culprit == nullptr) {
    return Hang{.culprit = nullptr,
                .reason = fmt::format("the run hangs: no step was completed for {:.0f} s and every worker waits at "
                                      "step {}",
                                      standstill, present->step)};
  }
  return Hang{
      .culprit = culprit,
      .reason = fmt::format("{} hangs: no step was completed for {:.0f} s and it is in phase {} of step {}",
                            title(culprit->member), standstill, cluster::phase_name(culprit->phase), culprit->step)};
}

}  // namespace convoy::scheduler
