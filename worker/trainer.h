// One worker's training run: epoch after epoch of the membership, in each of them step after step.
//
// The training thread does what its EpochSession says: get the state to where an epoch goes on, meet the members, train
// with them until the epoch is sealed or the run complete. While it waits for what comes after a seal it goes on
// computing the shards of the step under way that are its own: they will be needed.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>

#include "core/base/background.h"
#include "core/base/error.h"
#include "core/data/dataset.h"
#include "core/device/cpu_device.h"
#include "distributed/engine.h"
#include "distributed/gradient_reducer.h"
#include "worker/batches.h"
#include "worker/board_feed.h"
#include "worker/checkpointer.h"
#include "worker/commands.h"
#include "worker/donor.h"
#include "worker/epoch_session.h"
#include "worker/evaluation.h"
#include "worker/replica.h"
#include "worker/reporter.h"
#include "worker/step_profile.h"
#include "worker/training_step.h"
#include "worker/transfer.h"

namespace convoy::worker {

// In four files: its life, from joining to leaving (trainer.cpp); the state (trainer_state.cpp); within an epoch
// (trainer_epoch.cpp); checkpoints and the end (trainer_end.cpp).
class Trainer {
 public:
  // Opens the data and builds the replica; nothing is sent yet. `background_cores`: of threads that write checkpoints.
  Trainer(const TrainCommand& command, const Uuid& uuid, Logger& logger, Cores background_cores);
  ~Trainer();

  // How the run ended for this worker.
  struct End {
    int exit_code = 0;
    std::string reason{};
  };
  // Trains to the end, or until a signal asks the run to stop. Throws what else stopped it.
  End run();
  // Whether the scheduler ended the run, so that an error is a consequence and not a cause.
  std::optional<cluster::Stop> ended_by_scheduler() const;
  // The last word to the scheduler. `ends_run`: what `reason` says would befall every worker.
  void leave(int exit_code, const std::string& reason, bool ends_run = false);

 private:
  using Clock = std::chrono::steady_clock;

  // Of a checkpoint while several write it.
  using Tag = std::array<char, 8>;
  // What all tell each other when they meet.
  struct Arrival {
    std::uint8_t evaluated = 0;  // after the last step
    std::uint8_t stops = 0;      // the run does, after it
    Uuid directory{};            // what stands in the file run-id of the run directory that it sees
    Tag checkpoint{};            // that it has heard of last, and not given up
  };
  // What is handed on with the state besides what a checkpoint holds.
  struct LastStep {
    double loss = 0.0;
    double count = 0.0;
  };

  void warn(const std::string& warning);
  void join();
  void compute_ahead();
  void tell_lost(const Error& error, const Ballot& ballot);
  End over();
  End save_alone();

  // Getting to where an epoch goes on.
  void get_state(const FetchState& task);
  void read_checkpoint(const FetchState& task);
  void copy_state(const FetchState& task);
  void catch_up(const FetchState& task);
  std::vector<Source> sources(const FetchState& task) const;

  // Within an epoch. An end, or nothing once something else is to be done.
  void meet(const EnterEpoch& task);
  std::optional<End> arrive();
  std::optional<End> train(const EnterEpoch& task);
  std::optional<StepResult> run_step();
  void commit(StepResult& result);
  std::optional<End> after_step(const StepResult& result);
  std::optional<End> evaluate_if_due();
  std::optional<Evaluation> run_evaluation(std::int64_t step);
  bool evaluation_due(std::int64_t step) const;
  std::optional<End> finish();

  void lead();
  void announce();
  void skip_step(const StepResult& result);
  void report_step(const StepResult& result);
  std::unique_ptr<Checkpointer> make_checkpointer();
  void abandon_checkpoint();
  void keep_or_abandon_checkpoint(const std::vector<Arrival>& members);
  void save(bool must = false);
  std::optional<CheckpointPlan> agree_on_checkpoint(bool wanted, bool last);
  bool shares_are_done();
  void finish_shares();
  std::string finish_checkpoint();
  std::string wait_for_checkpoint(std::int64_t step);
  CheckpointFacts facts() const;
  End stop_after(std::int64_t step);
  End stopped_at_checkpoint(std::int64_t step) const;
  End save_and_leave(const cluster::Stop& stop);
  void abort_communication() noexcept;

  static std::chrono::milliseconds from_seconds(double seconds) {
    return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000.0));
  }
  std::int64_t applied() const { return session_.steps_applied(); }
  bool leads() const { return rank_ == 0; }
  void at(std::string_view instant) const;

  const TrainCommand& command_;
  const Recipe& recipe_;
  Logger& logger_;
  const Uuid uuid_;
  const Cores background_cores_;
  std::unique_ptr<Dataset> dataset_;
  CpuDevice device_;
  Replica replica_;
  Batches batches_;
  distributed::GradientReducer reducer_;
  std::unique_ptr<distributed::Engine> engine_;
  std::optional<StepProfile> profile_;  // where steps are to be timed
  TrainingStep step_;

  std::mutex communicator_mutex_;  // abort comes from the reporter's thread
  std::unique_ptr<distributed::Communicator> communicator_;
  EpochSession session_;
  std::unique_ptr<Reporter> reporter_;
  std::unique_ptr<Donor> donor_;
  std::unique_ptr<Checkpointer> checkpointer_;  // of whoever has written
  std::optional<BoardFeed> board_;              // of whoever has led

  // Of the epoch.
  Ballot ballot_;
  std::int32_t rank_ = -1;
  std::int32_t world_ = 0;
  std::vector<Uuid> members_;          // by rank
  std::vector<std::int32_t> writers_;  // ranks that see the run directory that rank 0 sees, which is the first of them

  LastStep last_;
  Parts state_parts_;                 // what is served of the state, and last_
  bool ends_run_ = false;             // what may go wrong now is the run's affair
  bool began_run_ = false;            // with the others, from a checkpoint or from the beginning
  std::int64_t begin_step_ = 0;       // steps that were applied when this process came in
  std::int64_t evaluated_after_ = 0;  // the step after which it was evaluated last
  std::int64_t stops_after_ = -1;     // the step after which the members agreed to stop
  std::int64_t saved_after_ = 0;      // of the checkpoint that stands, as far as this worker knows
  std::optional<Manifest> resumed_;
  std::string data_digest_;
  double training_s_ = 0.0;  // in steps since the start of this process, evaluations left out
  double start_to_first_step_s_ = 0.0;

  // Of the checkpoint that was begun last: who writes it, the one who commits first; and their ranks then.
  std::vector<Uuid> sharing_;
  std::vector<std::int32_t> sharing_ranks_;
  Tag sharing_tag_{};
  bool owed_ = false;     // it was given up, and no other has been begun since
  std::set<Uuid> blind_;  // who does not see the run directory, whatever its file run-id says
};

}  // namespace convoy::worker
