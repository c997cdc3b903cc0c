// One worker's training run: joins the membership, then step after step computes its logical shards, reduces, updates
// and reports.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>

#include "core/base/error.h"
#include "core/data/dataset.h"
#include "core/device/cpu_device.h"
#include "distributed/engine.h"
#include "distributed/gradient_reducer.h"
#include "worker/batches.h"
#include "worker/board_feed.h"
#include "worker/checkpointer.h"
#include "worker/commands.h"
#include "worker/evaluation.h"
#include "worker/replica.h"
#include "worker/reporter.h"
#include "worker/step_profile.h"

namespace convoy::worker {

class Trainer {
 public:
  // Opens the data and builds the replica; nothing is sent yet.
  Trainer(const TrainCommand& command, const Uuid& uuid, Logger& logger);

  // How the run ended for this worker.
  struct End {
    int exit_code = 0;
    std::string reason{};
  };
  // Trains to the end, or until a signal asks the run to stop. Throws what else stopped it.
  End run();
  // Whether the scheduler ended the run, so that `error` is a consequence and not a cause.
  std::optional<cluster::Stop> ended_by_scheduler(const Error& error) const;
  // The last word to the scheduler.
  void leave(int exit_code, const std::string& reason);

 private:
  using Clock = std::chrono::steady_clock;

  // What a step came to.
  struct StepResult {
    double loss = 0.0;
    double lr = 0.0;
    double grad_norm = 0.0;
    double step_ms = 0.0;
    double compute_ms = 0.0;
    double comm_ms = 0.0;
    double count = 0.0;  // targets
    bool stop = false;   // a worker was asked to stop: the same on all
  };

  void warn(const std::string& warning);
  void join();
  void resume();
  void announce();
  StepResult run_step(std::int64_t step);
  void check_finite(std::int64_t step, double loss, double norm, bool& apply);
  void report_step(std::int64_t step, const StepResult& result);
  std::optional<Evaluation> run_evaluation(std::int64_t step);
  bool evaluation_due(std::int64_t step) const;
  CheckpointFacts facts(std::int64_t step, const StepResult& result, bool evaluated) const;
  void save(std::int64_t step, const StepResult& result, bool evaluated);
  End stop_after(std::int64_t step, const StepResult& result);
  End stopped_at_checkpoint(std::int64_t step) const;
  End finish(double loss);
  void abort_communication() noexcept;
  bool leads() const { return command_.place.rank == 0; }

  const TrainCommand& command_;
  const Recipe& recipe_;
  Logger& logger_;
  const Uuid uuid_;
  std::unique_ptr<Dataset> dataset_;
  CpuDevice device_;
  Replica replica_;
  Batches batches_;
  distributed::GradientReducer reducer_;
  std::unique_ptr<distributed::Engine> engine_;

  std::stop_source stop_meeting_;
  std::mutex communicator_mutex_;  // abort comes from the reporter's thread
  std::unique_ptr<distributed::Communicator> communicator_;
  Ballot ballot_;
  std::optional<StepProfile> profile_;  // where steps are to be timed
  std::optional<BoardFeed> board_;      // of rank 0
  std::unique_ptr<Reporter> reporter_;  // last: its thread uses what stands above

  std::unique_ptr<Checkpointer> checkpointer_;  // of rank 0

  std::int64_t resume_step_ = 0;     // of the checkpoint that the run goes on from; 0: from the beginning
  std::optional<Manifest> resumed_;  // its manifest
  std::string data_digest_;
  std::int64_t step_ = 0;    // under way
  double training_s_ = 0.0;  // in steps since the start of this process, evaluations left out
  double start_to_first_step_s_ = 0.0;
};

}  // namespace convoy::worker
