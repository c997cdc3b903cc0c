// When a run writes checkpoints and which of them it keeps. The worker that leads the run has one.
//
// A thread of its own writes them, of the state as it was when start() was called, while training goes on; another one
// copies aside what the writer will not have come to when the next update begins (worker/state_copy.h). Both work in
// the background (core/base/background.h). One checkpoint is written at a time.
//
//   after a step that one is due after   start(facts)
//   before each update                   before_update()
//   before a worker leaves               finish(), or abandon()
#pragma once

#include <chrono>
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "cluster/messages.h"
#include "core/base/background.h"
#include "core/base/recipe.h"
#include "worker/checkpoint.h"
#include "worker/replica.h"
#include "worker/state_copy.h"

namespace convoy::worker {

struct CheckpointerOptions {
  // Whether the records of every step up to this one are on disk: asked again and again, by the writing thread, before
  // a checkpoint gets its name, for a run that is resumed from it goes on with them. Throws what makes that hopeless.
  std::function<bool(std::int64_t step)> recorded;
  // Takes events of the kinds "checkpoint", with its folder; "checkpoint_failed" and "checkpoint_skipped", with the
  // reason. From any thread.
  std::function<void(const cluster::EventReport&)> report;
  // How long a run waits for a checkpoint under way when the next one is due, before it skips that: this long at most,
  // and no longer over the whole run than this and so large a part of its time. So a run whose steps take milliseconds
  // writes what it was asked for, and one whose disk is too slow does not wait for it.
  std::chrono::duration<double> patience{1.0};  // seconds
  double more_patience = 0.005;
  // That the background threads may run on; empty: those of the thread that makes the Checkpointer.
  Cores cores{};
};

class Checkpointer {
 public:
  // Keeps references to recipe and replica. What killed processes left half-written in the run directory goes.
  Checkpointer(std::string run_directory, const Recipe& recipe, const Replica& replica, CheckpointerOptions options);
  // Abandons what is under way.
  ~Checkpointer();
  Checkpointer(const Checkpointer&) = delete;
  Checkpointer& operator=(const Checkpointer&) = delete;

  // Whether one is due after `step`: every checkpoint.every steps, and after the last one.
  static bool due(const Recipe& recipe, std::int64_t step);

  // All of these are for the training thread, abandon() for any. One of a step whose checkpoint is under way, or was
  // the last to be written, is not begun again. Begins a checkpoint of the state as it is and returns. One that is due
  // while another is being written is skipped, but for patience. Throws nothing of what goes wrong with a checkpoint:
  // that is an event, and those that stand stay.
  void start(const CheckpointFacts& facts);
  // The same, but waits for the one under way: for a checkpoint that is not to be skipped.
  void start_last(const CheckpointFacts& facts);
  // Before whatever changes the state. Waits for copies in memory at most; where less memory is available than the
  // state takes, for the disk.
  void before_update();
  // Waits until nothing is being written. Returns the folder of the checkpoint that was begun last, empty if there was
  // none or it was abandoned. Throws Error(kUnavailable) or Error(kDataLoss), naming the file, if it could not be
  // written, or what options.recorded threw.
  std::string finish();
  // start_last() and finish(): when it returns a checkpoint of this step stands, also if it was begun before.
  std::string write(const CheckpointFacts& facts);
  // Gives up what is under way: when this returns nothing will stand under a final name that does not yet, and nobody
  // reads the state. For a worker that leads no more, or whose state is replaced.
  void abandon();

  // Of the checkpoint that was begun last.
  StateCopy::Statistics statistics() const { return state_.statistics(); }

 private:
  using Clock = std::chrono::steady_clock;
  using Seconds = std::chrono::duration<double>;
  using Lock = std::unique_lock<std::mutex>;

  bool has(const Lock& lock, std::int64_t step) const;
  void begin(Lock& lock, const CheckpointFacts& facts);
  bool wait_patiently(Lock& lock);
  void run(const std::stop_token& stop);
  void write_one(const CheckpointFacts& facts);
  void check_wanted();
  void wait_until_recorded(std::int64_t step);
  void report(const std::string& kind, std::int64_t step, const std::string& detail);

  const std::string run_directory_;
  const Recipe& recipe_;
  const Replica& replica_;
  const CheckpointerOptions options_;
  StateCopy state_;

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::optional<CheckpointFacts> under_way_;
  bool abandoned_ = false;      // what is under way
  std::int64_t begun_ = -1;     // the step of the one that was begun last
  std::string folder_;          // of the one that was begun last, once it stands
  std::exception_ptr failure_;  // why it does not
  Seconds patience_;            // that is left
  Clock::time_point counted_;   // up to here, for patience
  std::jthread writer_;         // these two last: they use what stands above
  std::jthread copier_;
};

}  // namespace convoy::worker
