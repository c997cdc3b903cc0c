#include "worker/reporter.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "core/base/error.h"

namespace convoy::worker {

using std::chrono::milliseconds;

namespace {

// A worker that did not run for this long cannot blame the scheduler for its silence.
constexpr std::chrono::seconds kOwnSilence{2};

}  // namespace

Reporter::Reporter(ReporterOptions options, SignalReceiver& signals, Logger& logger)
    : options_(std::move(options)),
      signals_(signals),
      link_(options_.scheduler, options_.self),
      logger_(logger),
      last_watch_(Clock::now()),
      heard_(last_watch_),
      thread_([this] { run(); }) {}

Reporter::~Reporter() {
  closing_ = true;
  if (thread_.joinable()) thread_.join();
}

void Reporter::run() {
  auto next_heartbeat = Clock::now() + options_.heartbeat;
  while (!closing_) {
    pollfd descriptors[] = {{link_.poll_descriptor(), POLLIN, 0}, {signals_.descriptor(), POLLIN, 0}};
    poll(descriptors, 2, 50);
    handle_signals();
    try {
      while (const std::optional<cluster::Message> message = link_.receive(milliseconds(0))) handle(*message);
    } catch (const Error& error) {
      if (closing_) return;
      const std::string what = std::string("lost the scheduler: ") + error.what();
      end({.exit_code = 1, .reason = what}, what);
      return;
    }
    const auto now = Clock::now();
    watch_scheduler(now);
    if (now < next_heartbeat) continue;
    next_heartbeat = now + options_.heartbeat;
    send(cluster::Heartbeat{.step = step_, .phase = phase_, .activity = options_.activity()});
  }
}

// Called once all that arrived is handled, so that a worker that was itself stopped for a while blames nobody.
void Reporter::watch_scheduler(Clock::time_point now) {
  const bool slept = now - last_watch_ > kOwnSilence;
  last_watch_ = now;
  {
    const std::lock_guard lock(mutex_);
    if (slept) heard_ = now;
    if (!waiting_ || lost_ || now - heard_ <= options_.scheduler_silence) return;
    lost_ = fmt::format("the scheduler at {} has been silent for {:.0f} s", options_.scheduler.address,
                        std::chrono::duration<double>(now - heard_).count());
  }
  changed_.notify_all();
}

template <typename Done>
void Reporter::wait_for_scheduler(std::unique_lock<std::mutex>& lock, Done done) {
  waiting_ = true;
  changed_.wait(lock, [&] { return done() || lost_; });
  waiting_ = false;
}

void Reporter::handle_signals() {
  while (const std::optional<int> signal = signals_.take()) {
    const auto now = Clock::now();
    // Terminals and batch systems often send the same wish twice within a moment.
    const bool hurries = !announces_preemption(*signal);
    if (hurries && signalled_ && now - *signalled_ > milliseconds(500) && options_.on_second_signal)
      options_.on_second_signal();
    if (hurries && !signalled_) signalled_ = now;
    send(cluster::StopRequest{.reason = "stopped by " + signal_name(*signal)});
  }
}

void Reporter::handle(const cluster::Message& message) {
  if (const auto* stop = std::get_if<cluster::Stop>(&message.body)) return end(*stop);
  if (const auto* finish = std::get_if<cluster::FinishStep>(&message.body)) {
    logger_.info("{}: the run ends after this step and a checkpoint", finish->reason);
    finishes_step_ = true;
  }
  {
    const std::lock_guard lock(mutex_);
    heard_ = Clock::now();
    if (const auto* epoch = std::get_if<cluster::Epoch>(&message.body)) {
      ballot_ = message.ballot;
      membership_ = Membership{.ballot = message.ballot, .epoch = *epoch};
    } else if (const auto* refuse = std::get_if<cluster::Refuse>(&message.body)) {
      refusal_ = refuse->reason;
    } else if (const auto* recorded = std::get_if<cluster::Recorded>(&message.body)) {
      recorded_step_ = std::max(recorded_step_, recorded->step);
      final_recorded_ = final_recorded_ || recorded->final;
    }
  }
  changed_.notify_all();
}

void Reporter::end(const cluster::Stop& stop, const std::optional<std::string>& lost) {
  {
    const std::lock_guard lock(mutex_);
    if (lost) lost_ = lost;
    if (stop_) return;
    stop_ = stop;
  }
  changed_.notify_all();
  logger_.info("the run ends: {}", stop.reason);
  options_.on_stop();
}

void Reporter::check(const std::unique_lock<std::mutex>&) const {
  if (refusal_) fail(ErrorCode::kInvalidArgument, "{}", *refusal_);
  if (lost_) fail(ErrorCode::kPeerLost, "{}", *lost_);
  if (stop_) fail(ErrorCode::kInterrupted, "{}", stop_->reason);
}

Reporter::Membership Reporter::join(cluster::Register registration) {
  send(std::move(registration));
  std::unique_lock lock(mutex_);
  heard_ = Clock::now();  // it owes nothing to whoever has not registered
  wait_for_scheduler(lock, [&] { return membership_ || refusal_ || stop_; });
  if (!membership_ || stop_) check(lock);
  return *membership_;
}

void Reporter::set_position(std::int64_t step, cluster::Phase phase) {
  step_ = step;
  phase_ = phase;
}

void Reporter::send(cluster::Body body) {
  Ballot ballot;
  {
    const std::lock_guard lock(mutex_);
    ballot = ballot_;
  }
  link_.send(ballot, std::move(body));
}

void Reporter::wait_until_recorded(std::int64_t step) {
  std::unique_lock lock(mutex_);
  wait_for_scheduler(lock, [&] { return recorded_step_ >= step || stop_; });
  if (recorded_step_ < step) check(lock);
}

void Reporter::wait_until_final_recorded() {
  std::unique_lock lock(mutex_);
  wait_for_scheduler(lock, [&] { return final_recorded_ || stop_; });
  if (!final_recorded_) check(lock);
}

std::optional<cluster::Stop> Reporter::stop() const {
  const std::lock_guard lock(mutex_);
  return stop_;
}

std::optional<cluster::Stop> Reporter::wait_for_stop(milliseconds timeout) const {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, timeout, [&] { return stop_ || lost_; });
  return stop_;
}

void Reporter::leave(const cluster::Leave& leave) {
  send(leave);
  closing_ = true;
  thread_.join();
  link_.close(milliseconds(2000));
}

}  // namespace convoy::worker
