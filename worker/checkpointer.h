// When a run writes checkpoints and which of them it keeps. Every worker that writes has one; the one that leads the
// run decides, commits and cleans up, the others write their shares (worker/checkpoint.h).
//
// A thread of its own writes them, of the state as it was when start() was called, while training goes on; another one
// copies aside what the writer will not have come to when the next update begins (worker/state_copy.h). Both work in
// the background (core/base/background.h). One checkpoint is written at a time.
//
//   after a step that one is due after   start(facts), or is_clear_for(step) and, on all who write, begin(facts, …)
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
  // Takes events of the kinds "checkpoint", with its folder; "checkpoint_failed", "checkpoint_skipped",
  // "checkpoint_abandoned" and, of a share of this worker's, "checkpoint_share_failed", with the reason. From any
  // thread.
  std::function<void(const cluster::EventReport&)> report;
  // Hears of "share" and "shared", when a share begins and when its report stands; "commit", when all that is missing
  // is the name; "committed". For tests that strike there. From any thread; may be empty.
  std::function<void(std::string_view instant, std::int64_t step)> at{};
  // How long a run waits for a checkpoint under way when the next one is due, before it skips that: this long at most,
  // and no longer over the whole run than this and so large a part of its time. So a run whose steps take milliseconds
  // writes what it was asked for, and one whose disk is too slow does not wait for it.
  std::chrono::duration<double> patience{1.0};  // seconds
  double more_patience = 0.005;
  // For a file system to show what another host wrote.
  std::chrono::milliseconds show_report{5'000};
  // That the background threads may run on; empty: those of the thread that makes the Checkpointer.
  Cores cores{};
};

class Checkpointer {
 public:
  // Keeps references to recipe and replica.
  Checkpointer(std::string run_directory, const Recipe& recipe, const Replica& replica, CheckpointerOptions options);
  // Abandons what is under way.
  ~Checkpointer();
  Checkpointer(const Checkpointer&) = delete;
  Checkpointer& operator=(const Checkpointer&) = delete;

  // Whether one is due after `step`: every checkpoint.every steps, and after the last one.
  static bool due(const Recipe& recipe, std::int64_t step);

  // All of these are for the training thread, abandon() for any. Whether a checkpoint of this step can begin: not where
  // its own is under way, or was the last to be written. One that is due while another is being written is skipped, but
  // for patience; `last`: waits for that instead, however long it takes.
  bool is_clear_for(std::int64_t step, bool last = false);
  // Begins a checkpoint of the state as it is, or this worker's share of it, and returns. What killed processes left
  // half-written in the run directory goes. Throws nothing of what goes wrong with a checkpoint: that is an event, and
  // those that stand stay.
  void begin(const CheckpointFacts& facts, const CheckpointPlan& plan, std::int32_t rank);
  // Both for a worker that writes alone.
  void start(const CheckpointFacts& facts);
  // The same, but for a checkpoint that is not to be skipped.
  void start_last(const CheckpointFacts& facts);
  // Whether one of this step was begun last, whatever came of it.
  bool has_begun(std::int64_t step);
  // Whether anything is under way here.
  bool is_busy();
  // The other writers are busy no more: a report that is not there yet will not come, but for a moment that file
  // systems may take to show it.
  void others_are_done();
  // Ranks that left a share without a report, since this was asked last: they do not see the run directory.
  std::vector<std::int32_t> take_silent();
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
  // The same for one that several write and cannot finish together. `why`: for the event. False if none was under way.
  bool abandon_shared(const std::string& why);
  // How many workers can have a share.
  std::size_t most_writers(std::size_t workers) const { return layout_.shares(workers).size(); }

  // Of the checkpoint that was begun last.
  StateCopy::Statistics statistics() const { return state_.statistics(); }

 private:
  using Clock = std::chrono::steady_clock;
  using Seconds = std::chrono::duration<double>;
  using Lock = std::unique_lock<std::mutex>;

  // What is being written.
  struct Task {
    CheckpointFacts facts;
    CheckpointPlan plan;
    std::int32_t rank = 0;
    bool commits() const { return rank == plan.writers.front(); }
  };

  bool has(const Lock& lock, std::int64_t step) const;
  bool wait_patiently(Lock& lock);
  void run(const std::stop_token& stop);
  void write_one(const Task& task);
  void write_share(const Task& task);
  void commit(const Task& task);
  void check_wanted();
  void wait_for_shares(UnfinishedCheckpoint& checkpoint, std::int64_t step);
  void wait_until_recorded(std::int64_t step);
  void wait_a_moment();
  void at(std::string_view instant, std::int64_t step) const;
  void report_failure(const Task& task, const std::exception_ptr& failure);
  void report(const std::string& kind, std::int64_t step, const std::string& detail);

  const std::string run_directory_;
  const Recipe& recipe_;
  const CheckpointerOptions options_;
  const StateLayout layout_;
  StateCopy state_;

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::optional<Task> under_way_;
  bool abandoned_ = false;                        // what is under way
  std::optional<Clock::time_point> others_done_;  // with it
  std::vector<std::int32_t> silent_;
  std::int64_t begun_ = -1;     // the step of the one that was begun last
  std::string folder_;          // of the one that was begun last, once it stands
  std::exception_ptr failure_;  // why it does not
  Seconds patience_;            // that is left
  Clock::time_point counted_;   // up to here, for patience
  std::jthread writer_;         // these two last: they use what stands above
  std::jthread copier_;
};

}  // namespace convoy::worker
