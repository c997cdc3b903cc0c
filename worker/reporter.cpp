#include "worker/reporter.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "core/base/error.h"
#include "core/base/exit_code.h"

namespace convoy::worker {

using std::chrono::milliseconds;

namespace {

// A worker that did not run for this long cannot blame the scheduler for its silence.
constexpr std::chrono::seconds kOwnSilence{2};
constexpr milliseconds kReconnect{50};
constexpr milliseconds kAnswer{2'000};  // to who registers again
// For a scheduler to come back to whom a signal asked to stop: whoever sent it may not wait for long.
constexpr milliseconds kAsked{10'000};
// A scheduler that never answered belongs to a run that is over, or is replaced sooner than this.
constexpr milliseconds kFirstMeeting{1'000};

}  // namespace

Reporter::Reporter(ReporterOptions options, SignalReceiver& signals, Logger& logger)
    : options_(std::move(options)),
      signals_(signals),
      logger_(logger),
      last_watch_(Clock::now()),
      link_(std::make_unique<cluster::Link>(options_.scheduler, options_.self)),
      heard_(last_watch_),
      thread_([this] { run(); }) {}

Reporter::~Reporter() {
  closing_ = true;
  if (thread_.joinable()) thread_.join();
}

void Reporter::run() {
  auto next_heartbeat = Clock::now() + options_.heartbeat;
  while (!closing_) {
    pollfd descriptors[] = {{signals_.descriptor(), POLLIN, 0}, {link_->poll_descriptor(), POLLIN, 0}};
    poll(descriptors, lost_since_ ? 1 : 2, lost_since_ ? 10 : 50);
    handle_signals();
    const bool connected = !lost_since_ && receive();
    const auto now = Clock::now();
    if (!connected && !closing_) reconnect(now);
    watch_scheduler(now);
    if (now < next_heartbeat) continue;
    next_heartbeat = now + options_.heartbeat;
    beat();
  }
}

// False once the line is down.
bool Reporter::receive() {
  try {
    while (const std::optional<cluster::Message> message = link_->receive(milliseconds(0))) handle(*message);
    return true;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kDataLoss) {  // of another build: what it says cannot be understood
      end(End::kRefused, error.what());
      return true;
    }
    if (!closing_) logger_.warning("{}", error.what());
    const std::lock_guard lock(mutex_);
    why_ = error.what();
    return false;
  }
}

// A scheduler that was started anew has the address and key of the one before it.
void Reporter::reconnect(Clock::time_point now) {
  if (!lost_since_) lost_since_ = now;
  const bool awaits = met_ && !is_too_late();
  const milliseconds patience =
      awaits ? options_.scheduler_silence : std::min(options_.scheduler_silence, kFirstMeeting);
  if (now - *lost_since_ > patience) {
    std::string why;
    {
      const std::lock_guard lock(mutex_);
      why = why_;
    }
    return end_lost(std::move(why));
  }
  if (asked_at_ && hear_again(now)) return;
  if (now < next_attempt_) return;
  next_attempt_ = now + kReconnect;
  try {
    register_again();
    asked_at_ = now;
  } catch (const Error& error) {  // no descriptors are left, say
    const std::lock_guard lock(mutex_);
    why_ = error.what();
  }
}

void Reporter::register_again() {
  auto link = std::make_unique<cluster::Link>(options_.find_scheduler ? options_.find_scheduler() : options_.scheduler,
                                              options_.self);
  const cluster::Standing standing = options_.standing();
  const std::lock_guard lock(mutex_);
  link_.swap(link);
  if (!registration_) return;
  cluster::Register again = *registration_;
  again.standing = standing;
  link_->send(ballot_, std::move(again));
}

// The line is up again as soon as anything arrives; it owes an answer to who registers, but may be slow to give it.
// False once nothing is to be expected of this link.
bool Reporter::hear_again(Clock::time_point now) {
  try {
    const auto message = link_->receive(milliseconds(0));
    if (!message && now - *asked_at_ < kAnswer) return true;
    asked_at_.reset();
    if (!message) return false;
    lost_since_.reset();
    logger_.info("the scheduler is back");
    handle(*message);
    beat();
    return true;
  } catch (const Error& error) {
    asked_at_.reset();
    const std::lock_guard lock(mutex_);
    why_ = error.what();
    return false;
  }
}

// Besides what it says of this worker, it repeats what may not have been heard.
void Reporter::beat() {
  const cluster::Standing standing = options_.standing();
  send(
      cluster::Heartbeat{.step = step_, .phase = phase_, .activity = options_.activity(), .applied = standing.applied});
  if (joins_) send(cluster::Ready{.step = standing.applied});
  const std::lock_guard lock(mutex_);
  if (wish_ && !finishes_step_) link_->send(ballot_, cluster::StopRequest{.reason = *wish_});
  if (lost_peers_ && lost_peers_->first < standing.sealed) lost_peers_.reset();
  if (lost_peers_) link_->send(lost_peers_->first, lost_peers_->second);
  const std::int64_t oldest = outbox_.oldest();
  if (leads_ && oldest != Outbox::kNone && oldest == oldest_report_) send_reports();
  oldest_report_ = oldest;
}

// Under the lock.
void Reporter::send_reports() {
  outbox_.for_each([this](const cluster::Body& body) { link_->send(ballot_, body); });
}

// Called once all that arrived is handled, so that a worker that was itself stopped for a while blames nobody.
void Reporter::watch_scheduler(Clock::time_point now) {
  const bool slept = now - last_watch_ > kOwnSilence;
  last_watch_ = now;
  const bool away = lost_since_ && now - *lost_since_ > kAsked;
  std::string why;
  {
    const std::lock_guard lock(mutex_);
    if (slept) heard_ = now;
    if (away && wish_) why = fmt::format("{}; {}", *wish_, why_);
  }
  if (!why.empty()) return end(End::kLost, why);
  {
    const std::lock_guard lock(mutex_);
    if (!waiting_ || ending_ || now - heard_ <= options_.scheduler_silence) return;
    why = fmt::format("the scheduler at {} has been silent for {:.0f} s", options_.scheduler.address,
                      std::chrono::duration<double>(now - heard_).count());
  }
  end_lost(std::move(why));
}

void Reporter::handle_signals() {
  while (const std::optional<int> signal = signals_.take()) {
    const auto now = Clock::now();
    // Terminals and batch systems often send the same wish twice within a moment.
    const bool hurries = !announces_preemption(*signal);
    if (hurries && signalled_ && now - *signalled_ > milliseconds(500) && options_.on_second_signal)
      options_.on_second_signal();
    if (hurries && !signalled_) signalled_ = now;
    const std::lock_guard lock(mutex_);
    if (!wish_) wish_ = "stopped by " + signal_name(*signal);
    link_->send(ballot_, cluster::StopRequest{.reason = *wish_});
  }
}

void Reporter::handle(const cluster::Message& message) {
  // Of a scheduler in whose place there is another: whoever answered that one's round owes nothing to this one.
  if (message.ballot.term < options_.standing().sealed.term) return;
  bool complete = false;
  met_ = true;
  {
    const std::lock_guard lock(mutex_);
    heard_ = Clock::now();
    if (const auto* recorded = std::get_if<cluster::Recorded>(&message.body)) {
      recorded_step_ = std::max(recorded_step_, recorded->step);
      outbox_.recorded(recorded->step);
      complete = recorded->final;
    }
  }
  if (const auto* stop = std::get_if<cluster::Stop>(&message.body)) {
    {
      const std::lock_guard lock(mutex_);
      if (!stop_) stop_ = *stop;
      // It has the state of those steps. Whoever led when they were applied may be gone.
      if (stop->save) send_reports();
    }
    return end(End::kStopped, stop->reason);
  }
  if (const auto* refuse = std::get_if<cluster::Refuse>(&message.body)) return end(End::kRefused, refuse->reason);
  if (const auto* exclude = std::get_if<cluster::Exclude>(&message.body))
    return end(End::kExcluded, fmt::format("excluded from the run: {}", exclude->reason));
  if (complete) return end(End::kComplete, "");
  if (const auto* finish = std::get_if<cluster::FinishStep>(&message.body)) {
    if (!finishes_step_) logger_.info("{}: the run ends after this step and a checkpoint", finish->reason);
    finishes_step_ = true;
    if (!enrolled()) end_stopped(finish->reason);  // there is no step that it could finish
  } else if (const auto* seal = std::get_if<cluster::Seal>(&message.body)) {
    options_.on_seal(message.ballot, *seal);
  } else if (const auto* epoch = std::get_if<cluster::Epoch>(&message.body)) {
    options_.on_epoch(message.ballot, *epoch);
  } else if (std::holds_alternative<cluster::Copy>(message.body)) {
    joins_ = true;
    send(cluster::Ready{.step = options_.standing().applied});
  }
}

void Reporter::end(End how, std::string why) {
  {
    const std::lock_guard lock(mutex_);
    if (ending_) return;
    ending_ = how;
    why_ = std::move(why);
    if (how == End::kComplete) outbox_.recorded_all();
  }
  if (how != End::kComplete) logger_.info("the run ends: {}", why_);
  options_.on_end();
}

void Reporter::end_lost(std::string why) {
  if (is_too_late()) return end_stopped("the run has stopped");
  end(End::kLost, std::move(why));
}

// As if the scheduler had said so.
void Reporter::end_stopped(const std::string& why) {
  {
    const std::lock_guard lock(mutex_);
    if (!stop_) stop_ = cluster::Stop{.exit_code = kExitStopped, .reason = why};
  }
  end(End::kStopped, why);
}

bool Reporter::enrolled() const {
  const std::lock_guard lock(mutex_);
  return registration_.has_value();
}

bool Reporter::is_too_late() const {
  const std::lock_guard lock(mutex_);
  return finishes_step_ && ballot_ == Ballot{};
}

std::optional<Reporter::End> Reporter::ending() const {
  const std::lock_guard lock(mutex_);
  return ending_;
}

std::optional<cluster::Stop> Reporter::stop() const {
  const std::lock_guard lock(mutex_);
  return stop_;
}

void Reporter::fail_ended() const {
  const std::lock_guard lock(mutex_);
  if (ending_ == End::kRefused) fail(ErrorCode::kUsage, "{}", why_);
  if (ending_ == End::kExcluded) fail(ErrorCode::kInvalidArgument, "{}", why_);
  if (ending_ == End::kLost) fail(ErrorCode::kPeerLost, "{}", why_);
  fail(ErrorCode::kInterrupted, "{}", why_);
}

void Reporter::enroll(cluster::Register registration) {
  const std::lock_guard lock(mutex_);
  if (ending_) return;
  heard_ = Clock::now();  // it owes nothing to whoever has not registered
  waiting_ = true;
  registration_ = registration;
  link_->send(ballot_, std::move(registration));
}

void Reporter::enter(const Ballot& ballot, bool leads) {
  {
    const std::lock_guard lock(mutex_);
    waiting_ = false;
    ballot_ = ballot;
    leads_ = leads;
    joins_ = false;
    if (leads_) send_reports();
  }
  beat();
}

void Reporter::set_position(std::int64_t step, cluster::Phase phase) {
  step_ = step;
  phase_ = phase;
}

void Reporter::send(cluster::Body body) {
  const std::lock_guard lock(mutex_);
  link_->send(ballot_, std::move(body));
}

void Reporter::send(const Ballot& ballot, cluster::Body body) {
  const std::lock_guard lock(mutex_);
  link_->send(ballot, std::move(body));
}

void Reporter::lose_peers(const Ballot& ballot, cluster::PeersLost lost) {
  const std::lock_guard lock(mutex_);
  link_->send(ballot, lost);
  lost_peers_.emplace(ballot, std::move(lost));
}

void Reporter::report(std::int64_t step, cluster::Body body) {
  const std::lock_guard lock(mutex_);
  if (leads_) link_->send(ballot_, body);
  outbox_.add(step, std::move(body));
}

bool Reporter::recorded(std::int64_t step) {
  {
    const std::lock_guard lock(mutex_);
    waiting_ = recorded_step_ < step && !(stop_ && stop_->save);
    if (!waiting_) return true;
    if (!ending_) return false;
  }
  fail_ended();
}

std::vector<cluster::Body> Reporter::unrecorded() const {
  const std::lock_guard lock(mutex_);
  std::vector<cluster::Body> reports;
  outbox_.for_each([&](const cluster::Body& body) { reports.push_back(body); });
  return reports;
}

void Reporter::recorded_elsewhere(std::int64_t step) {
  const std::lock_guard lock(mutex_);
  recorded_step_ = std::max(recorded_step_, step);
  outbox_.recorded(step);
}

void Reporter::leave(const cluster::Leave& leave) {
  send(leave);
  closing_ = true;
  thread_.join();
  link_->close(milliseconds(2000));
}

}  // namespace convoy::worker
