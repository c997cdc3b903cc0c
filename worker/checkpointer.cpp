#include "worker/checkpointer.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "core/base/available_memory.h"
#include "core/base/durable_file.h"
#include "core/base/error.h"
#include "worker/checkpoint_store.h"

namespace convoy::worker {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kAskAgain{10};  // whether the records, and others' shares, are on disk

// Thrown inside the writing thread.
struct Abandoned {};

// Of what is available: the rest is for the step's own needs and for others of this machine.
std::size_t most_aside() {
  const std::optional<std::size_t> available = available_memory();
  return available ? *available / 2 : StateCopy::kUnlimited;
}

// What the run's end explains is not said twice.
bool ends_run(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const Error& error) {
    return error.code() == ErrorCode::kInterrupted || error.code() == ErrorCode::kPeerLost;
  } catch (...) {
    return false;
  }
}

std::string message_of(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "an unknown error";
  }
}

}  // namespace

Checkpointer::Checkpointer(std::string run_directory, const Recipe& recipe, const Replica& replica,
                           CheckpointerOptions options)
    : run_directory_(std::move(run_directory)),
      recipe_(recipe),
      options_(std::move(options)),
      layout_(replica.state()),
      state_(layout_.memory(layout_.all())),
      patience_(options_.patience),
      counted_(Clock::now()),
      writer_([this](const std::stop_token& stop) { run(stop); }),
      copier_([this](const std::stop_token& stop) {
        work_in_background(options_.cores);
        state_.copy_ahead(stop);
      }) {}

Checkpointer::~Checkpointer() {
  writer_.request_stop();
  abandon();
}

bool Checkpointer::due(const Recipe& recipe, std::int64_t step) {
  const std::int64_t every = recipe.checkpoint.every;
  return step == recipe.train.steps || (every > 0 && step % every == 0);
}

bool Checkpointer::has(const Lock&, std::int64_t step) const {
  return begun_ == step && (!folder_.empty() || (under_way_ && !abandoned_));
}

bool Checkpointer::is_clear_for(std::int64_t step, bool last) {
  Lock lock(mutex_);
  if (last) changed_.wait(lock, [this] { return !under_way_; });
  if (has(lock, step)) return false;
  if (last || wait_patiently(lock)) return true;
  const std::int64_t other = under_way_->facts.step;
  lock.unlock();
  report("checkpoint_skipped", step, fmt::format("the one of step {} is still being written", other));
  return false;
}

void Checkpointer::start(const CheckpointFacts& facts) {
  if (is_clear_for(facts.step)) begin(facts, {}, 0);
}

void Checkpointer::start_last(const CheckpointFacts& facts) {
  if (is_clear_for(facts.step, true)) begin(facts, {}, 0);
}

bool Checkpointer::has_begun(std::int64_t step) {
  const Lock lock(mutex_);
  return begun_ == step;
}

bool Checkpointer::is_busy() {
  const Lock lock(mutex_);
  return under_way_ && !abandoned_;
}

void Checkpointer::others_are_done() {
  const Lock lock(mutex_);
  if (under_way_ && !others_done_) others_done_ = Clock::now();
}

std::vector<std::int32_t> Checkpointer::take_silent() {
  const Lock lock(mutex_);
  return std::exchange(silent_, {});
}

// Whether nothing is under way by then.
bool Checkpointer::wait_patiently(Lock& lock) {
  const Clock::time_point now = Clock::now();
  patience_ = std::min(patience_ + Seconds(now - counted_) * options_.more_patience, options_.patience);
  counted_ = now;
  if (!under_way_) return true;
  const bool done = changed_.wait_for(lock, patience_, [this] { return !under_way_; });
  patience_ -= Clock::now() - now;
  return done;
}

void Checkpointer::begin(const CheckpointFacts& facts, const CheckpointPlan& plan, std::int32_t rank) {
  Task task{.facts = facts, .plan = plan, .rank = rank};
  const StateRange range =
      task.commits() ? layout_.all() : CheckpointShare(run_directory_, facts.step, layout_, plan, rank).range();
  Lock lock(mutex_);
  // A share that nobody waits for any more.
  if (under_way_) {
    abandoned_ = true;
    state_.cancel();
    changed_.notify_all();
    changed_.wait(lock, [this] { return !under_way_; });
  }
  begun_ = facts.step;
  folder_.clear();
  failure_ = nullptr;
  abandoned_ = false;
  others_done_.reset();
  if (range.bytes() == 0) return;
  try {
    state_.use(layout_.memory(range));
    state_.begin(most_aside());
  } catch (const Error&) {
    failure_ = std::current_exception();
    lock.unlock();
    return report_failure(task, failure_);
  }
  under_way_ = std::move(task);
  changed_.notify_all();
}

void Checkpointer::before_update() { state_.before_update(); }

std::string Checkpointer::finish() {
  Lock lock(mutex_);
  changed_.wait(lock, [this] { return !under_way_; });
  if (failure_) std::rethrow_exception(failure_);
  return folder_;
}

std::string Checkpointer::write(const CheckpointFacts& facts) {
  start_last(facts);
  return finish();
}

void Checkpointer::abandon() {
  const Lock lock(mutex_);
  abandoned_ = true;
  state_.cancel();
  changed_.notify_all();
}

bool Checkpointer::abandon_shared(const std::string& why) {
  std::optional<std::int64_t> step;
  {
    const Lock lock(mutex_);
    if (!under_way_ || !under_way_->plan.is_shared() || abandoned_ || !folder_.empty()) return false;
    if (under_way_->commits()) step = under_way_->facts.step;
  }
  abandon();
  if (step) report("checkpoint_abandoned", *step, why);
  return true;
}

void Checkpointer::run(const std::stop_token& stop) {
  work_in_background(options_.cores);
  Lock lock(mutex_);
  while (changed_.wait(lock, stop, [this] { return under_way_.has_value(); })) {
    const Task task = *under_way_;
    lock.unlock();
    std::exception_ptr failure;
    try {
      write_one(task);
    } catch (const Abandoned&) {
    } catch (...) {
      failure = std::current_exception();
    }
    state_.end();
    if (failure && !ends_run(failure)) report_failure(task, failure);
    lock.lock();
    failure_ = failure;
    under_way_.reset();
    changed_.notify_all();
  }
}

void Checkpointer::write_one(const Task& task) {
  if (task.commits()) return commit(task);
  write_share(task);
}

void Checkpointer::write_share(const Task& task) {
  const std::int64_t step = task.facts.step;
  at("share", step);
  CheckpointShare share(run_directory_, step, layout_, task.plan, task.rank);
  try {
    share.write(state_, [this] { check_wanted(); });
  } catch (const Error&) {
    if (share.is_given_up()) throw Abandoned();
    throw;
  }
  at("shared", step);
}

void Checkpointer::commit(const Task& task) {
  const std::int64_t step = task.facts.step;
  remove_unfinished(run_directory_);
  UnfinishedCheckpoint checkpoint(run_directory_, task.facts, layout_, task.plan);
  checkpoint.write(state_, [this] { check_wanted(); });
  state_.end();
  wait_for_shares(checkpoint, step);
  checkpoint.complete(recipe_);
  wait_until_recorded(step);
  sync_file(run_directory_ + "/metrics.jsonl");
  at("commit", step);
  std::string folder;
  {
    const Lock lock(mutex_);
    if (abandoned_) throw Abandoned();
    folder = folder_ = checkpoint.commit();
  }
  at("committed", step);
  checkpoint.settle();
  keep_newest(run_directory_, recipe_.checkpoint.keep);
  report("checkpoint", step, folder);
}

void Checkpointer::check_wanted() {
  const Lock lock(mutex_);
  if (abandoned_) throw Abandoned();
}

void Checkpointer::wait_for_shares(UnfinishedCheckpoint& checkpoint, std::int64_t step) {
  while (!checkpoint.has_all_shares()) {
    options_.recorded(step);  // throws where waiting is in vain
    wait_a_moment();
    const Lock lock(mutex_);
    if (abandoned_) throw Abandoned();
    if (!others_done_ || Clock::now() - *others_done_ < options_.show_report) continue;
    silent_ = checkpoint.missing_shares();
    fail(ErrorCode::kUnavailable, "worker {} was to write a share of it and left no report of that in {}",
         fmt::join(silent_, ", "), run_directory_);
  }
}

// A run that is resumed from here goes on with the records of the steps before.
void Checkpointer::wait_until_recorded(std::int64_t step) {
  while (!options_.recorded(step)) {
    wait_a_moment();
    check_wanted();
  }
}

void Checkpointer::wait_a_moment() {
  Lock lock(mutex_);
  changed_.wait_for(lock, kAskAgain, [this] { return abandoned_; });
}

void Checkpointer::at(std::string_view instant, std::int64_t step) const {
  if (options_.at) options_.at(instant, step);
}

void Checkpointer::report_failure(const Task& task, const std::exception_ptr& failure) {
  report(task.commits() ? "checkpoint_failed" : "checkpoint_share_failed", task.facts.step, message_of(failure));
}

void Checkpointer::report(const std::string& kind, std::int64_t step, const std::string& detail) {
  options_.report({.kind = kind, .step = step, .detail = detail});
}

}  // namespace convoy::worker
