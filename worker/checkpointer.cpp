#include "worker/checkpointer.h"

#include <algorithm>
#include <utility>

#include "core/base/available_memory.h"
#include "core/base/durable_file.h"
#include "core/base/error.h"
#include "worker/checkpoint_store.h"

namespace convoy::worker {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kAskAgain{10};  // whether the records are on disk

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
      replica_(replica),
      options_(std::move(options)),
      state_(state_bytes(replica)),
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
  return begun_ == step && (under_way_ ? !abandoned_ : !folder_.empty());
}

void Checkpointer::start(const CheckpointFacts& facts) {
  Lock lock(mutex_);
  if (has(lock, facts.step)) return;
  if (wait_patiently(lock)) return begin(lock, facts);
  const std::int64_t other = under_way_->step;
  lock.unlock();
  report("checkpoint_skipped", facts.step, fmt::format("the one of step {} is still being written", other));
}

void Checkpointer::start_last(const CheckpointFacts& facts) {
  Lock lock(mutex_);
  changed_.wait(lock, [this] { return !under_way_; });
  if (!has(lock, facts.step)) begin(lock, facts);
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

void Checkpointer::begin(Lock& lock, const CheckpointFacts& facts) {
  begun_ = facts.step;
  folder_.clear();
  failure_ = nullptr;
  abandoned_ = false;
  try {
    state_.begin(most_aside());
  } catch (const Error&) {
    failure_ = std::current_exception();
    lock.unlock();
    return report("checkpoint_failed", facts.step, message_of(failure_));
  }
  under_way_ = facts;
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

void Checkpointer::run(const std::stop_token& stop) {
  work_in_background(options_.cores);
  remove_unfinished(run_directory_);
  Lock lock(mutex_);
  while (changed_.wait(lock, stop, [this] { return under_way_.has_value(); })) {
    const CheckpointFacts facts = *under_way_;
    lock.unlock();
    std::exception_ptr failure;
    try {
      write_one(facts);
    } catch (const Abandoned&) {
    } catch (...) {
      failure = std::current_exception();
    }
    state_.end();
    if (failure && !ends_run(failure)) report("checkpoint_failed", facts.step, message_of(failure));
    lock.lock();
    failure_ = failure;
    under_way_.reset();
    changed_.notify_all();
  }
}

void Checkpointer::write_one(const CheckpointFacts& facts) {
  UnfinishedCheckpoint checkpoint(run_directory_, facts);
  checkpoint.write(recipe_, replica_, state_, [this] { check_wanted(); });
  state_.end();
  wait_until_recorded(facts.step);
  sync_file(run_directory_ + "/metrics.jsonl");
  std::string folder;
  {
    const Lock lock(mutex_);
    if (abandoned_) throw Abandoned();
    folder = folder_ = checkpoint.commit();
  }
  checkpoint.settle();
  keep_newest(run_directory_, recipe_.checkpoint.keep);
  report("checkpoint", facts.step, folder);
}

void Checkpointer::check_wanted() {
  const Lock lock(mutex_);
  if (abandoned_) throw Abandoned();
}

// A run that is resumed from here goes on with the records of the steps before.
void Checkpointer::wait_until_recorded(std::int64_t step) {
  while (!options_.recorded(step)) {
    Lock lock(mutex_);
    changed_.wait_for(lock, kAskAgain, [this] { return abandoned_; });
    if (abandoned_) throw Abandoned();
  }
}

void Checkpointer::report(const std::string& kind, std::int64_t step, const std::string& detail) {
  options_.report({.kind = kind, .step = step, .detail = detail});
}

}  // namespace convoy::worker
