// What a worker does within an epoch: it meets the members, and trains with them step after step.
#include <algorithm>
#include <bit>
#include <cmath>

#include "core/base/durable_file.h"
#include "core/base/error.h"
#include "worker/checkpoint_store.h"
#include "worker/fingerprint.h"
#include "worker/resume.h"
#include "worker/trainer.h"

namespace convoy::worker {

namespace {

// Of the time after which the scheduler finds out who hangs. It is the one to do so: nobody is lost for being late.
constexpr double kMeetingPatience = 10.0;

}  // namespace

using std::chrono::duration;

void Trainer::meet(const EnterEpoch& task) {
  const auto& members = task.epoch.members;
  const auto self = std::ranges::find(members, uuid_, &cluster::Member::uuid);
  const auto rank = static_cast<std::int32_t>(self - members.begin());
  const auto world = static_cast<std::int32_t>(members.size());
  const std::int64_t step = applied() + 1;
  ballot_ = task.ballot;
  logger_.set_ballot(ballot_.to_string());
  logger_.set_rank(rank);
  logger_.info("epoch {}: rank {} of {}, from step {}", ballot_.to_string(), rank, world, applied());
  reporter_->set_position(step, cluster::Phase::kWaiting);
  {
    const std::lock_guard lock(communicator_mutex_);
    communicator_.reset();
  }
  at("connect");
  auto communicator = engine_->connect(
      {.ballot = ballot_,
       .rank = rank,
       .members = members,
       .token = command_.place.scheduler->token,
       .timeout = from_seconds(kMeetingPatience * recipe_.fault.hang_s),
       .silence = from_seconds(recipe_.fault.suspect_s),
       .stop = task.sealed,
       .on_unreachable = [this, ballot = ballot_](const Uuid& peer) { session_.unreachable(ballot, {peer}); }});
  {
    const std::lock_guard lock(communicator_mutex_);
    communicator_ = std::move(communicator);
    if (task.sealed.stop_requested() || reporter_->ending()) communicator_->abort();
  }
  if (rank != rank_ || world != world_) batches_.read_ahead(recipe_.data, rank, world);
  rank_ = rank;
  world_ = world;
  reporter_->enter(ballot_, leads());
  members_.clear();
  for (const cluster::Member& member : members) members_.push_back(member.uuid);
  if (leads()) lead();
}

// What rank 0 does for all.
void Trainer::lead() {
  if (board_) return;
  board_.emplace(recipe_, *dataset_, replica_, batches_,
                 [this](cluster::Body body) { reporter_->send(std::move(body)); });
  if (began_run_ && applied() == begin_step_) announce();
}

std::unique_ptr<Checkpointer> Trainer::make_checkpointer() {
  const auto report = [this](const cluster::EventReport& event) {
    const LogLevel level = event.kind == "checkpoint" ? LogLevel::kInfo : LogLevel::kWarning;
    logger_.write(level, fmt::format("{} after step {}: {}", event.kind, event.step, event.detail));
    if (command_.at_instant && event.kind == "checkpoint") command_.at_instant("saved", event.step);
    reporter_->send(event);
  };
  return std::make_unique<Checkpointer>(
      command_.run_directory, recipe_, replica_,
      CheckpointerOptions{.recorded = [this](std::int64_t step) { return reporter_->recorded(step); },
                          .report = report,
                          .at = command_.at_instant,
                          .cores = background_cores_});
}

// What is about to be trained, on record before the first step.
void Trainer::announce() {
  if (resumed_) {
    for (const std::string& damage : set_aside_later(command_.run_directory, begin_step_))
      reporter_->send(cluster::EventReport{.kind = "checkpoint_corrupt", .step = begin_step_, .detail = damage});
    if (resumed_->build != program_build())
      reporter_->send(cluster::EventReport{
          .kind = "build_changed",
          .step = begin_step_,
          .detail = fmt::format("the checkpoint was written by another build ({}, this is {}): from here on the bits "
                                "may be others",
                                resumed_->build, program_build())});
    reporter_->send(cluster::EventReport{
        .kind = "resumed",
        .step = begin_step_,
        .detail = describe_resume(command_.run_directory, *resumed_, recipe_, command_.workload.program, world_)});
  }
  write_durably(command_.run_directory + "/recipe.toml", to_toml(recipe_));
  std::int64_t parameters = 0;
  for (const distributed::ParameterExtent& extent : replica_.layout().parameters()) parameters += extent.elements;
  const std::string detail = fmt::format(
      "{} with {} parameters in {} buckets; {} logical shards over {} workers, engine {}", recipe_.model.kind,
      parameters, replica_.layout().buckets().size(), recipe_.train.logical_shards, world_, engine_->name());
  logger_.info("{}", detail);
  reporter_->send(cluster::EventReport{.kind = "training_started", .step = begin_step_, .detail = detail});
  board_->recipe(begin_step_);
  board_->graphs();
}

// Whoever was interrupted before the evaluation of the last step was through has the others do it again. Who sees rank
// 0's run directory shares in writing checkpoints. And who knows that the run stops after the last step, but not that
// its checkpoint stands, has them all stop there.
std::optional<Trainer::End> Trainer::arrive() {
  const Arrival self{.evaluated = evaluated_after_ == applied(),
                     .stops = stops_after_ == applied(),
                     .directory = read_run_id(command_.run_directory),
                     .checkpoint = sharing_tag_};
  std::vector<Arrival> all(static_cast<std::size_t>(world_));
  std::vector<std::span<std::byte>> received;
  for (Arrival& arrival : all) received.push_back(bytes_of(arrival));
  communicator_->all_gather_v(std::as_bytes(std::span(&self, 1)), received);
  if (std::ranges::count(all, 0, &Arrival::evaluated) > 0) evaluated_after_ = 0;
  writers_ = {0};
  for (std::int32_t rank = 1; rank < world_; ++rank) {
    const Uuid& directory = all[static_cast<std::size_t>(rank)].directory;
    if (!directory.is_nil() && directory == all.front().directory) writers_.push_back(rank);
  }
  keep_or_abandon_checkpoint(all);
  if (!checkpointer_ && std::ranges::count(writers_, rank_) > 0) checkpointer_ = make_checkpointer();
  if (std::ranges::count(all, 1, &Arrival::stops) > 0) return stop_after(applied());
  return std::nullopt;
}

std::optional<Trainer::End> Trainer::train(const EnterEpoch& task) {
  meet(task);
  if (std::optional<End> end = arrive()) return end;
  const auto shards = static_cast<std::int32_t>(recipe_.train.logical_shards);
  const distributed::Assignment regular = distributed::regular_assignment(shards, world_);
  const distributed::Assignment first =
      distributed::agree_on_assignment(*communicator_, shards, applied() + 1, reducer_.held(applied() + 1));
  const distributed::Assignment* assignment = &first;

  if (std::optional<End> end = evaluate_if_due()) return end;
  if (applied() > 0) save();
  while (applied() < recipe_.train.steps) {
    step_.begin(applied() + 1, *assignment, rank_);
    const std::optional<StepResult> result = run_step();
    if (!result) return std::nullopt;
    if (std::optional<End> end = after_step(*result)) return end;
    assignment = &regular;
  }
  return finish();
}

// Nothing once the epoch is sealed.
std::optional<StepResult> Trainer::run_step() {
  logger_.set_step(step_.step());
  reporter_->set_position(step_.step(), cluster::Phase::kForwardBackward);
  at("compute");
  while (step_.compute_one(reporter_->finishes_step())) {
    at("shard");
    if (session_.has_task()) return std::nullopt;
  }
  if (!session_.begin()) return std::nullopt;
  reporter_->set_position(step_.step(), cluster::Phase::kReducing);
  at("reduce");
  step_.reduce(*communicator_, [this] { at("bucket"); });
  at("reduced");
  StepResult result = step_.result();
  if (!session_.reduced()) return std::nullopt;
  commit(result);
  return result;
}

// From here on the step counts, whatever happens to the others.
void Trainer::commit(StepResult& result) {
  reporter_->set_position(result.step, cluster::Phase::kUpdating);
  at("update");
  if (!result.finite && recipe_.train.on_nonfinite == "stop")
    fail(ErrorCode::kInvalidArgument,
         "step {}: the loss is {} and the gradient norm {}; lower optimizer.lr, or set train.on_nonfinite = \"skip\"",
         result.step, std::abs(result.loss), std::abs(result.grad_norm));  // without the sign that a NaN may carry
  if (checkpointer_) checkpointer_->before_update();
  step_.update(result, result.finite);
  at("updated");
  last_ = {.loss = result.loss, .count = result.count};
  session_.applied(result.checksum);
  at("applied");
  if (training_s_ == 0.0) start_to_first_step_s_ = duration<double>(Clock::now() - command_.started).count();
  training_s_ += result.step_ms / 1e3;
  if (!result.finite) skip_step(result);
  report_step(result);
}

void Trainer::skip_step(const StepResult& result) {
  if (!leads()) return;
  reporter_->send(cluster::EventReport{
      .kind = "step_skipped",
      .step = result.step,
      .detail = fmt::format("loss {}, gradient norm {}", std::abs(result.loss), std::abs(result.grad_norm))});
}

void Trainer::report_step(const StepResult& result) {
  const std::int64_t tokens = recipe_.train.global_batch * dataset_->tokens_per_sample();
  reporter_->report(
      result.step,
      cluster::StepReport{.step = result.step,
                          .loss = result.loss,
                          .loss_bits = std::bit_cast<std::uint32_t>(static_cast<float>(result.loss)),
                          .lr = result.lr,
                          .grad_norm = result.grad_norm,
                          .samples = recipe_.train.global_batch,
                          .tokens = tokens > 0 ? tokens : -1,
                          .step_ms = result.step_ms,
                          .compute_ms = result.compute_ms,
                          .comm_ms = result.comm_ms,
                          .world = world_,
                          .ballot = ballot_,
                          .shard_ranks = {reducer_.contributions().begin(), reducer_.contributions().end()}});
}

std::optional<Trainer::End> Trainer::after_step(const StepResult& result) {
  if (leads() && board_) board_->after_step(result.step, reducer_.reduced_data(), result.count);
  if (result.stop) return stop_after(result.step);
  if (std::optional<End> end = evaluate_if_due()) return end;
  if (Checkpointer::due(recipe_, result.step)) save();
  return std::nullopt;
}

// --- evaluation

// Every train.eval_every steps; what is due after the last one is part of finish().
bool Trainer::evaluation_due(std::int64_t step) const {
  return step > 0 && step < recipe_.train.steps && recipe_.train.eval_every > 0 && step % recipe_.train.eval_every == 0;
}

std::optional<Trainer::End> Trainer::evaluate_if_due() {
  const std::int64_t step = applied();
  if (!evaluation_due(step) || evaluated_after_ == step) return std::nullopt;
  const std::optional<Evaluation> evaluation = run_evaluation(step);
  if (evaluation && evaluation->abandoned)
    return begin_step_ == step && began_run_ ? stopped_at_checkpoint(step) : stop_after(step);
  evaluated_after_ = step;
  return std::nullopt;
}

std::optional<Evaluation> Trainer::run_evaluation(std::int64_t step) {
  reporter_->set_position(step, cluster::Phase::kEvaluating);
  at("evaluate");
  const std::optional<Evaluation> evaluation =
      evaluate(replica_, batches_, *communicator_, [this] { return reporter_->finishes_step(); });
  if (!evaluation || evaluation->abandoned) return evaluation;
  reporter_->report(step,
                    cluster::EvalReport{.step = step, .loss = evaluation->loss, .accuracy = evaluation->accuracy});
  if (leads() && board_) board_->after_evaluation(step);
  return evaluation;
}

}  // namespace convoy::worker
