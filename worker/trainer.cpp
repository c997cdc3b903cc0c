#include "worker/trainer.h"

#include <sys/resource.h>
#include <unistd.h>

#include <bit>
#include <cmath>

#include "cluster/address.h"
#include "core/base/durable_file.h"
#include "core/base/exit_code.h"
#include "core/nn/schedule.h"
#include "worker/checkpoint.h"
#include "worker/fingerprint.h"
#include "worker/memory_share.h"
#include "worker/resume.h"

namespace convoy::worker {
namespace {

using std::chrono::duration;

double milliseconds_between(std::chrono::steady_clock::time_point from, std::chrono::steady_clock::time_point to) {
  return duration<double, std::milli>(to - from).count();
}

std::int64_t peak_rss_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::int64_t>(usage.ru_maxrss) * 1024;
}

// Of a step, that this worker computes.
std::int32_t shards_of(const TrainCommand& command) {
  const auto shards = static_cast<std::int32_t>(command.recipe.train.logical_shards);
  const Subtree block = distributed::worker_block(shards, command.place.rank, command.place.world).leaves;
  return block.end - block.begin;
}

std::chrono::milliseconds from_seconds(double seconds) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000.0));
}

}  // namespace

Trainer::Trainer(const TrainCommand& command, const Uuid& uuid, Logger& logger)
    : command_(command),
      recipe_(command.recipe),
      logger_(logger),
      uuid_(uuid),
      dataset_(command.workload.open_dataset(recipe_)),
      device_(static_cast<int>(recipe_.train.threads)),
      replica_(
          recipe_, command.workload.make_model(recipe_, task_of(*dataset_, recipe_)), device_,
          {.most_bytes = memory_share(command.place.local_world).value_or(~std::size_t{0}),
           .gradient_arenas = gradient_arenas(recipe_.train.logical_shards, command.place.rank, command.place.world),
           .shards = shards_of(command),
           .passes = parse_passes(command.inspection.passes),
           .warn = [this](const std::string& warning) { warn(warning); }}),
      batches_(*dataset_, recipe_.train, device_),
      reducer_(replica_.layout(), static_cast<std::int32_t>(recipe_.train.logical_shards), command.place.rank,
               command.place.world),
      engine_(distributed::make_engine({.kind = command.mpi != nullptr ? "mpi" : recipe_.sync.engine,
                                        .world = command.place.world,
                                        .self = uuid_,
                                        .arena_bytes = reducer_.arena_bytes(),
                                        .mpi = command.mpi})) {
  reducer_.use_arena(engine_->arena());
  if (const auto& steps = command.inspection.profile)
    profile_.emplace(*steps, recipe_.train.steps, replica_, command.run_directory + "/profile", command.place.rank,
                     leads() ? command.print : nullptr);
}

// The terminal is muted for workers' logs: rank 0 speaks for all.
void Trainer::warn(const std::string& warning) {
  logger_.warning("{}", warning);
  if (leads() && command_.print) command_.print("convoy: warning: " + warning);
}

void Trainer::join() {
  replica_.capture_step(batches_.specs(), reducer_.reduced_data());
  if (batches_.evaluation_batches() > 0) replica_.capture(evaluation_of(replica_), batches_.specs());
  reporter_ = std::make_unique<Reporter>(ReporterOptions{.scheduler = *command_.place.scheduler,
                                                         .self = uuid_,
                                                         .heartbeat = from_seconds(recipe_.fault.heartbeat_s),
                                                         .scheduler_silence = from_seconds(recipe_.fault.hang_s),
                                                         .activity = [this] { return device_.kernels_run(); },
                                                         .on_stop = [this] { abort_communication(); },
                                                         .on_second_signal = command_.on_second_signal},
                                         command_.take_signals(), logger_);
  const Reporter::Membership membership =
      reporter_->join({.rank = command_.place.rank,
                       .host = cluster::host_name(),
                       .pid = static_cast<std::int32_t>(getpid()),
                       .meeting_place = engine_->meeting_place(),
                       .fingerprint = fingerprint_of(recipe_, *dataset_, replica_, command_.environment)});
  ballot_ = membership.ballot;
  step_ = resume_step_ = membership.epoch.resume_step;
  data_digest_ = dataset_->digest();
  if (leads()) checkpointer_ = std::make_unique<Checkpointer>(command_.run_directory, recipe_, replica_, *reporter_);
  logger_.set_ballot(ballot_.to_string());
  auto communicator = engine_->connect({.ballot = ballot_,
                                        .rank = command_.place.rank,
                                        .members = membership.epoch.members,
                                        .token = command_.place.scheduler->token,
                                        .timeout = from_seconds(recipe_.fault.hang_s),
                                        .stop = stop_meeting_.get_token()});
  batches_.read_ahead(recipe_.data, command_.place.rank, command_.place.world);
  const std::lock_guard lock(communicator_mutex_);
  communicator_ = std::move(communicator);
  if (stop_meeting_.stop_requested()) communicator_->abort();
}

void Trainer::abort_communication() noexcept {
  stop_meeting_.request_stop();
  const std::lock_guard lock(communicator_mutex_);
  if (communicator_) communicator_->abort();
}

void Trainer::resume() {
  if (resume_step_ == 0) return;
  resumed_ = resume_from(command_.run_directory, resume_step_, recipe_, command_.workload.program, *dataset_, replica_);
  if (!leads()) return;
  for (const std::string& damage : set_aside_later(command_.run_directory, resume_step_))
    reporter_->send(cluster::EventReport{.kind = "checkpoint_corrupt", .step = resume_step_, .detail = damage});
  if (resumed_->build != program_build())
    reporter_->send(
        cluster::EventReport{.kind = "build_changed",
                             .step = resume_step_,
                             .detail = fmt::format("the checkpoint was written by another build ({}, this is {}): from "
                                                   "here on the bits may be others",
                                                   resumed_->build, program_build())});
  reporter_->send(cluster::EventReport{.kind = "resumed",
                                       .step = resume_step_,
                                       .detail = describe_resume(command_.run_directory, *resumed_, recipe_,
                                                                 command_.workload.program, command_.place.world)});
}

// What is about to be trained, on record before the first step.
void Trainer::announce() {
  write_durably(command_.run_directory + "/recipe.toml", to_toml(recipe_));
  std::int64_t parameters = 0;
  for (const distributed::ParameterExtent& extent : replica_.layout().parameters()) parameters += extent.elements;
  const std::string detail =
      fmt::format("{} with {} parameters in {} buckets; {} logical shards over {} workers, engine {}",
                  recipe_.model.kind, parameters, replica_.layout().buckets().size(), recipe_.train.logical_shards,
                  command_.place.world, engine_->name());
  logger_.info("{}", detail);
  reporter_->send(cluster::EventReport{.kind = "training_started", .step = resume_step_, .detail = detail});
  board_.emplace(recipe_, *dataset_, replica_, batches_,
                 [this](cluster::Body body) { reporter_->send(std::move(body)); });
  board_->recipe(resume_step_);
  board_->graphs();
}

Trainer::End Trainer::run() {
  join();
  resume();
  if (leads()) announce();
  if (resumed_ && !resumed_->evaluated && evaluation_due(resume_step_)) {
    const std::optional<Evaluation> evaluation = run_evaluation(resume_step_);
    if (evaluation && evaluation->abandoned) return stopped_at_checkpoint(resume_step_);
  }
  StepResult result{.loss = resumed_ ? resumed_->loss : 0.0};
  for (std::int64_t step = resume_step_ + 1; step <= recipe_.train.steps; ++step) {
    step_ = step;
    logger_.set_step(step);
    result = run_step(step);
    if (training_s_ == 0.0) start_to_first_step_s_ = duration<double>(Clock::now() - command_.started).count();
    training_s_ += result.step_ms / 1e3;
    report_step(step, result);
    if (board_) board_->after_step(step, reducer_.reduced_data(), result.count);
    if (result.stop) return stop_after(step, result);
    const bool evaluate = evaluation_due(step);
    const std::optional<Evaluation> evaluation = evaluate ? run_evaluation(step) : std::nullopt;
    if (evaluation && evaluation->abandoned) return stop_after(step, result);
    if (Checkpointer::due(recipe_, step)) save(step, result, evaluate);
  }
  return finish(result.loss);
}

// Every train.eval_every steps; what is due after the last one is part of finish().
bool Trainer::evaluation_due(std::int64_t step) const {
  return step < recipe_.train.steps && recipe_.train.eval_every > 0 && step % recipe_.train.eval_every == 0;
}

CheckpointFacts Trainer::facts(std::int64_t step, const StepResult& result, bool evaluated) const {
  return {.step = step,
          .ballot = ballot_,
          .world = command_.place.world,
          .loss = result.loss,
          .evaluated = evaluated,
          .data_digest = data_digest_};
}

// Rank 0 writes; the others go on and wait for it in the next step. A run of weeks does not end because its disk is
// full for a while: what stands is still there, and the next checkpoint may succeed.
void Trainer::save(std::int64_t step, const StepResult& result, bool evaluated) {
  if (!leads()) return;
  reporter_->set_position(step, cluster::Phase::kCheckpointing);
  try {
    logger_.info("checkpoint {}", checkpointer_->write(facts(step, result, evaluated)));
  } catch (const Error& error) {
    const bool refused = error.code() == ErrorCode::kUnavailable || error.code() == ErrorCode::kDataLoss;
    if (!refused || step == recipe_.train.steps) throw;
    logger_.warning("no checkpoint after step {}: {}", step, error.what());
    reporter_->send(cluster::EventReport{.kind = "checkpoint_failed", .step = step, .detail = error.what()});
  }
}

Trainer::StepResult Trainer::run_step(std::int64_t step) {
  if (profile_) profile_->begin_step(step);
  const Clock::time_point start = Clock::now();
  reporter_->set_position(step, cluster::Phase::kForwardBackward);
  const Subtree block = reducer_.block();
  for (std::int32_t shard = block.begin; shard < block.end; ++shard) {
    const std::int32_t leaf = shard - block.begin;
    distributed::LossSums sums = replica_.gradient(
        {.seed = recipe_.train.seed, .step = step, .shard = shard}, batches_.training(step, shard),
        [&](std::size_t parameter, std::span<const float> gradient) { reducer_.add(leaf, parameter, gradient); });
    sums.stops = reporter_->finishes_step() ? 1.0 : 0.0;
    reducer_.add_sums(leaf, sums);
  }

  const Clock::time_point computed = Clock::now();
  reporter_->set_position(step, cluster::Phase::kReducing);
  const distributed::LossSums total = reducer_.reduce(*communicator_);
  const Clock::time_point reduced = Clock::now();

  reporter_->set_position(step, cluster::Phase::kUpdating);
  StepResult result;
  result.loss = total.loss / total.count;
  result.count = total.count;
  result.stop = total.stops > 0.0;
  result.lr = learning_rate(recipe_.optimizer, step, recipe_.train.steps);
  result.grad_norm =
      std::sqrt(squared_norm(replica_.layout(), replica_.chunk_squares(reducer_.reduced_data()))) / total.count;
  bool apply = true;
  check_finite(step, result.loss, result.grad_norm, apply);
  const double clip = recipe_.optimizer.clip_norm;
  const double clip_factor = clip > 0.0 && result.grad_norm > clip ? clip / result.grad_norm : 1.0;
  replica_.update(step, reducer_.reduced_data(),
                  {.lr = result.lr, .gradient_scale = clip_factor / total.count, .apply = apply});
  const Clock::time_point end = Clock::now();
  result.step_ms = milliseconds_between(start, end);
  result.comm_ms = milliseconds_between(computed, reduced);
  result.compute_ms = result.step_ms - result.comm_ms;
  if (profile_) profile_->end_step(step, computed, reduced);
  return result;
}

void Trainer::check_finite(std::int64_t step, double loss, double norm, bool& apply) {
  if (std::isfinite(loss) && std::isfinite(norm)) return;
  if (recipe_.train.on_nonfinite == "stop")
    fail(ErrorCode::kInvalidArgument,
         "step {}: the loss is {} and the gradient norm {}; lower optimizer.lr, or set train.on_nonfinite = \"skip\"",
         step, std::abs(loss), std::abs(norm));  // without the sign that a NaN may carry
  apply = false;
  if (leads())
    reporter_->send(cluster::EventReport{
        .kind = "step_skipped", .step = step, .detail = fmt::format("loss {}, gradient norm {}", loss, norm)});
}

void Trainer::report_step(std::int64_t step, const StepResult& result) {
  if (!leads()) return;
  const std::int64_t tokens = recipe_.train.global_batch * dataset_->tokens_per_sample();
  reporter_->send(cluster::StepReport{.step = step,
                                      .loss = result.loss,
                                      .loss_bits = std::bit_cast<std::uint32_t>(static_cast<float>(result.loss)),
                                      .lr = result.lr,
                                      .grad_norm = result.grad_norm,
                                      .samples = recipe_.train.global_batch,
                                      .tokens = tokens > 0 ? tokens : -1,
                                      .step_ms = result.step_ms,
                                      .compute_ms = result.compute_ms,
                                      .comm_ms = result.comm_ms,
                                      .world = command_.place.world});
}

std::optional<Evaluation> Trainer::run_evaluation(std::int64_t step) {
  reporter_->set_position(step, cluster::Phase::kEvaluating);
  const std::optional<Evaluation> evaluation =
      evaluate(replica_, batches_, *communicator_, [this] { return reporter_->finishes_step(); });
  if (!evaluation || evaluation->abandoned || !leads()) return evaluation;
  reporter_->send(cluster::EvalReport{.step = step, .loss = evaluation->loss, .accuracy = evaluation->accuracy});
  if (board_) board_->after_evaluation(step);
  return evaluation;
}

// Nobody leaves before the checkpoint stands: a launcher may end the others with the first that does.
Trainer::End Trainer::stop_after(std::int64_t step, const StepResult& result) {
  std::string checkpoint;
  std::string failure;
  if (leads()) {
    reporter_->set_position(step, cluster::Phase::kCheckpointing);
    try {
      checkpoint = checkpointer_->write(facts(step, result, /*evaluated=*/false));
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kUnavailable && error.code() != ErrorCode::kDataLoss) throw;
      failure = error.what();
    }
  } else {
    reporter_->set_position(step, cluster::Phase::kWaiting);
  }
  std::uint8_t written = failure.empty() ? 1 : 0;
  communicator_->broadcast(&written, sizeof written, 0);
  if (written == 0) {
    const std::string what = fmt::format("stopped after step {} without a checkpoint: {}", step, failure);
    // The others hear from the scheduler why.
    fail(leads() ? ErrorCode::kUnavailable : ErrorCode::kPeerLost, "{}", what);
  }
  if (profile_) profile_->finish();
  if (!leads()) return {.exit_code = kExitStopped};
  return {.exit_code = kExitStopped,
          .reason = fmt::format("after step {}; checkpoint {}; run `{} resume {}` to go on", step, checkpoint,
                                command_.workload.program.command(), command_.run_directory)};
}

// What stands in a checkpoint already is not written again.
Trainer::End Trainer::stopped_at_checkpoint(std::int64_t step) const {
  if (!leads()) return {.exit_code = kExitStopped};
  return {.exit_code = kExitStopped,
          .reason = fmt::format("after step {}, before its evaluation was through; run `{} resume {}` to go on", step,
                                command_.workload.program.command(), command_.run_directory)};
}

Trainer::End Trainer::finish(double loss) {
  const std::int64_t steps = recipe_.train.steps;
  const std::optional<Evaluation> evaluation = run_evaluation(steps);
  if (evaluation && evaluation->abandoned) return stopped_at_checkpoint(steps);
  if (!leads()) return {};
  // Of this process: whoever resumed a run did not see how fast it was before.
  const double samples = static_cast<double>((steps - resume_step_) * recipe_.train.global_batch);
  const double tokens = samples * static_cast<double>(dataset_->tokens_per_sample());
  cluster::FinalReport report{.steps = steps,
                              .final_loss = loss,
                              .parameters_hash = replica_.parameters_hash(),
                              .state_hash = replica_.state_hash(steps),
                              .eval_loss = evaluation ? evaluation->loss : std::nan(""),
                              .eval_accuracy = std::nullopt,
                              .samples_per_s = samples > 0 ? samples / training_s_ : 0.0,
                              .tokens_per_s = std::nullopt,
                              .wall_s = duration<double>(Clock::now() - command_.started).count(),
                              .start_to_first_step_s = start_to_first_step_s_,
                              .world = command_.place.world};
  if (evaluation) report.eval_accuracy = evaluation->accuracy;
  if (dataset_->tokens_per_sample() > 0) report.tokens_per_s = samples > 0 ? tokens / training_s_ : 0.0;
  reporter_->send(report);
  reporter_->wait_until_final_recorded();
  return {};
}

std::optional<cluster::Stop> Trainer::ended_by_scheduler(const Error& error) const {
  if (reporter_ == nullptr) return std::nullopt;
  if (error.code() != ErrorCode::kPeerLost) return reporter_->stop();
  return reporter_->wait_for_stop(from_seconds(2.0 * recipe_.fault.suspect_s));
}

void Trainer::leave(int exit_code, const std::string& reason) {
  if (reporter_ == nullptr) return;
  reporter_->set_position(step_, cluster::Phase::kLeaving);
  reporter_->leave({.exit_code = exit_code, .reason = reason, .step = step_, .peak_rss_bytes = peak_rss_bytes()});
}

}  // namespace convoy::worker
