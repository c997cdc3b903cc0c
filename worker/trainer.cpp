#include "worker/trainer.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "cluster/address.h"
#include "core/base/durable_file.h"
#include "core/base/exit_code.h"
#include "distributed/worker_block.h"
#include "worker/checkpoint.h"
#include "worker/fingerprint.h"
#include "worker/memory_share.h"
#include "worker/resume.h"
#include "worker/state_parts.h"

namespace convoy::worker {
namespace {

using std::chrono::duration;

// At least, for a scheduler that is started anew, perhaps once more.
constexpr double kSchedulerPatience_s = 30.0;

std::int64_t peak_rss_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::int64_t>(usage.ru_maxrss) * 1024;
}

// Of a step, that this worker computes to begin with; one that joins a run does not know how many share them.
std::int32_t shards_of(const TrainCommand& command) {
  const auto shards = static_cast<std::int32_t>(command.recipe.train.logical_shards);
  if (command.place.rank < 0) return shards;
  const Subtree block = distributed::worker_block(shards, command.place.rank, command.place.world).leaves;
  return block.end - block.begin;
}

std::chrono::milliseconds from_seconds(double seconds) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000.0));
}

template <typename Value>
std::span<std::byte> bytes_of(Value& value) {
  return std::as_writable_bytes(std::span(&value, 1));
}

}  // namespace

Trainer::Trainer(const TrainCommand& command, const Uuid& uuid, Logger& logger, Cores background_cores)
    : command_(command),
      recipe_(command.recipe),
      logger_(logger),
      uuid_(uuid),
      background_cores_(std::move(background_cores)),
      dataset_(command.workload.open_dataset(recipe_)),
      device_(static_cast<int>(recipe_.train.threads)),
      replica_(recipe_, command.workload.make_model(recipe_, task_of(*dataset_, recipe_)), device_,
               {.most_bytes = memory_share(command.place.local_world).value_or(~std::size_t{0}),
                .gradient_arenas = gradient_arenas(recipe_.train.logical_shards, std::max(command.place.rank, 0),
                                                   command.place.rank < 0 ? 1 : command.place.world),
                .shards = shards_of(command),
                .passes = parse_passes(command.inspection.passes),
                .warn = [this](const std::string& warning) { warn(warning); }}),
      batches_(*dataset_, recipe_.train, device_),
      reducer_(replica_.layout(), static_cast<std::int32_t>(recipe_.train.logical_shards)),
      engine_(distributed::make_engine({.kind = command.mpi != nullptr ? "mpi" : recipe_.sync.engine,
                                        .alone = command.place.launcher == cluster::Launcher::kNone,
                                        .spans_hosts = command.place.spans_hosts(),
                                        .scheduler = command.place.scheduler->address,
                                        .self = uuid_,
                                        .arena_bytes = reducer_.arena_bytes(),
                                        .mpi = command.mpi})),
      profile_(command.inspection.profile
                   ? std::make_optional<StepProfile>(*command.inspection.profile, recipe_.train.steps, replica_,
                                                     command.run_directory + "/profile", command.place.rank,
                                                     command.place.rank == 0 ? command.print : nullptr)
                   : std::nullopt),
      step_(recipe_, replica_, batches_, reducer_, profile_ ? &*profile_ : nullptr),
      session_(
          uuid_,
          [this](const Ballot& ballot, cluster::SealAnswer answer) { reporter_->send(ballot, std::move(answer)); },
          [this] { abort_communication(); }) {
  reducer_.use_arena(engine_->arena(),
                     [this](std::size_t offset, std::size_t bytes) { engine_->commit(offset, bytes); });
}

// Peers and the reporter's thread use what stands above them.
Trainer::~Trainer() {
  donor_.reset();
  reporter_.reset();
}

// The terminal is muted for workers' logs: rank 0 speaks for all.
void Trainer::warn(const std::string& warning) {
  logger_.warning("{}", warning);
  if (command_.place.rank == 0 && command_.print) command_.print("convoy: warning: " + warning);
}

void Trainer::at(std::string_view instant) const {
  if (command_.at_instant) command_.at_instant(instant, applied());
}

void Trainer::join() {
  replica_.capture_step(batches_.specs(), reducer_.reduced_data());
  if (batches_.evaluation_batches() > 0) replica_.capture(evaluation_of(replica_), batches_.specs());
  data_digest_ = dataset_->digest();
  state_parts_ = parts_of(replica_);
  state_parts_.push_back(bytes_of(last_));
  const auto find = [this](const Ballot& ballot, const cluster::Pull& pull) {
    Offer offer{.kind = session_.offers(ballot, pull.what, pull.step)};
    if (offer.kind != Offer::Kind::kHere) return offer;
    at("serve");
    if (pull.what == cluster::Pull::What::kState) {
      offer.parts = state_parts_;
    } else {
      offer.parts = {std::as_bytes(reduced()), std::as_bytes(std::span(&step_.sums(), 1))};
    }
    return offer;
  };
  donor_ = std::make_unique<Donor>(
      DonorOptions{.listen = command_.place.spans_hosts() ? "tcp://0.0.0.0:0" : "tcp://127.0.0.1:0",
                   .token = command_.place.scheduler->token,
                   .self = uuid_,
                   .find = find});
  reporter_ = std::make_unique<Reporter>(
      ReporterOptions{
          .scheduler = *command_.place.scheduler,
          .self = uuid_,
          .heartbeat = from_seconds(recipe_.fault.heartbeat_s),
          .scheduler_silence = from_seconds(std::max(recipe_.fault.hang_s, kSchedulerPatience_s)),
          .activity = [this] { return device_.kernels_run(); },
          .standing = [this] { return session_.standing(); },
          .on_seal =
              [this](const Ballot& ballot, const cluster::Seal& seal) {
                at("sealed");
                session_.on_seal(ballot, seal);
              },
          .on_epoch = [this](const Ballot& ballot, const cluster::Epoch& epoch) { session_.on_epoch(ballot, epoch); },
          .on_end =
              [this] {
                if (reporter_->ending() != Reporter::End::kComplete) abort_communication();
                session_.end();
              },
          .on_second_signal = command_.on_second_signal},
      command_.take_signals(), logger_);
  at("register");
  reporter_->enroll({.rank = command_.place.rank,
                     .host = cluster::host_name(),
                     .pid = static_cast<std::int32_t>(getpid()),
                     .meeting_place = engine_->meeting_place(),
                     .donor = donor_->service(),
                     .fingerprint = fingerprint_of(recipe_, *dataset_, replica_, command_.environment)});
}

std::span<float> Trainer::reduced() const {
  return {reducer_.reduced_data(), static_cast<std::size_t>(replica_.layout().elements())};
}

void Trainer::abort_communication() noexcept {
  const std::lock_guard lock(communicator_mutex_);
  if (communicator_) communicator_->abort();
}

Trainer::End Trainer::run() {
  join();
  at("registered");
  for (;;) {
    compute_ahead();
    const Task task = session_.next_task();
    if (std::holds_alternative<RunIsOver>(task)) return over();
    const auto* fetch = std::get_if<FetchState>(&task);
    const auto* enter = std::get_if<EnterEpoch>(&task);
    try {
      if (fetch != nullptr) get_state(*fetch);
      if (enter != nullptr) {
        if (std::optional<End> end = train(*enter)) return *end;
      }
    } catch (const Error& error) {
      // Whatever goes wrong among peers once an epoch is sealed is because it is.
      const bool sealed = (fetch != nullptr ? fetch->sealed : enter->sealed).stop_requested();
      const bool lost = error.code() == ErrorCode::kPeerLost || error.code() == ErrorCode::kInterrupted;
      if (!sealed && !lost && !reporter_->ending()) throw;
      if (!sealed) tell_lost(error, fetch != nullptr ? fetch->fetch.ballot : enter->ballot);
    }
  }
}

// The step that was broken off is gone on with in the next epoch, whoever is in it.
void Trainer::compute_ahead() {
  const bool under_way = step_.step() == applied() + 1 && session_.standing().has_state;
  if (!under_way) return;
  reporter_->set_position(step_.step(), cluster::Phase::kForwardBackward);
  while (!session_.has_task() && step_.compute_one(reporter_->finishes_step())) {
  }
  reporter_->set_position(step_.step(), cluster::Phase::kWaiting);
}

void Trainer::tell_lost(const Error& error, const Ballot& ballot) {
  logger_.warning("{}", error.what());
  reporter_->send(ballot, cluster::PeersLost{});
}

Trainer::End Trainer::over() {
  const std::optional<cluster::Stop> stop = reporter_->stop();
  if (stop && stop->save && session_.standing().has_state) return save_and_leave(*stop);
  if (reporter_->ending() != Reporter::End::kComplete) reporter_->fail_ended();
  return {};
}

std::optional<cluster::Stop> Trainer::ended_by_scheduler() const {
  return reporter_ == nullptr ? std::nullopt : reporter_->stop();
}

void Trainer::leave(int exit_code, const std::string& reason, bool ends_run) {
  donor_.reset();
  if (reporter_ == nullptr) return;
  try {
    if (checkpointer_) checkpointer_->finish();
  } catch (const std::exception&) {
    // The scheduler has heard of it.
  }
  const bool takes_part = !reporter_->ending();  // who does not says nothing about the others
  reporter_->set_position(applied(), cluster::Phase::kLeaving);
  reporter_->leave({.exit_code = exit_code,
                    .reason = reason,
                    .step = applied(),
                    .peak_rss_bytes = peak_rss_bytes(),
                    .ends_run = (ends_run || ends_run_) && takes_part});
}

// --- getting to where an epoch goes on

void Trainer::get_state(const FetchState& task) {
  reporter_->set_position(task.fetch.step, cluster::Phase::kStarting);
  if (checkpointer_ && task.fetch.what != Fetch::What::kGradient) checkpointer_->abandon();
  switch (task.fetch.what) {
    case Fetch::What::kCheckpoint:
      return read_checkpoint(task);
    case Fetch::What::kState:
      return copy_state(task);
    case Fetch::What::kGradient:
      return catch_up(task);
  }
}

void Trainer::read_checkpoint(const FetchState& task) {
  const std::int64_t step = task.fetch.step;
  if (step == 0 && !state_is_whole_)
    fail(ErrorCode::kUnavailable, "the state that a donor began to send is gone with it, and there is no checkpoint");
  if (step > 0) {
    resumed_ = resume_from(command_.run_directory, step, recipe_, command_.workload.program, *dataset_, replica_);
    last_ = {.loss = resumed_->loss, .count = 0.0};
    evaluated_after_ = resumed_->evaluated ? step : 0;
  }
  state_is_whole_ = true;
  began_run_ = true;
  begin_step_ = saved_after_ = step;
  session_.restored(task.fetch.ballot);
}

std::vector<Source> Trainer::sources(const FetchState& task) const {
  std::vector<Source> sources;
  for (const Uuid& donor : task.fetch.donors) {
    const auto member = std::ranges::find(task.epoch.members, donor, &cluster::Member::uuid);
    if (member != task.epoch.members.end()) sources.push_back({.uuid = donor, .service = member->donor});
  }
  // Not everybody at the first of them.
  if (!sources.empty()) std::ranges::rotate(sources, sources.begin() + uuid_.bytes[0] % std::ssize(sources));
  return sources;
}

void Trainer::copy_state(const FetchState& task) {
  state_is_whole_ = false;
  at("copy");
  Destination destination = destinations_of(replica_);
  destination.push_back(bytes_of(last_));
  const Transferred transferred =
      worker::fetch({.donors = sources(task),
                     .asker = {.self = uuid_, .token = command_.place.scheduler->token, .ballot = task.fetch.ballot},
                     .what = cluster::Pull::What::kState,
                     .step = task.fetch.step},
                    destination, task.sealed);
  if (!transferred.done) fail(ErrorCode::kPeerLost, "no donor has the state after step {} any more", task.fetch.step);
  state_was_written(replica_);
  state_is_whole_ = true;
  at("copied");
  begin_step_ = task.fetch.step;
  logger_.info("copied the state after step {}", task.fetch.step);
  session_.restored(task.fetch.ballot);
}

// The others have applied one step more: their reduced gradient does here what it did there.
void Trainer::catch_up(const FetchState& task) {
  at("catch_up");
  distributed::LossSums sums;
  const Destination destination{std::as_writable_bytes(reducer_.take_over(task.fetch.step)), bytes_of(sums)};
  const Transferred transferred =
      worker::fetch({.donors = sources(task),
                     .asker = {.self = uuid_, .token = command_.place.scheduler->token, .ballot = task.fetch.ballot},
                     .what = cluster::Pull::What::kGradient,
                     .step = task.fetch.step},
                    destination, task.sealed);
  if (!transferred.done) return session_.no_gradient(task.fetch.ballot);
  if (!session_.begin()) return;
  step_.take_over(task.fetch.step, sums);
  StepResult result = step_.result();
  if (session_.reduced()) commit(result);
}

// --- within an epoch

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
  auto communicator = engine_->connect({.ballot = ballot_,
                                        .rank = rank,
                                        .members = members,
                                        .token = command_.place.scheduler->token,
                                        .timeout = from_seconds(recipe_.fault.hang_s),
                                        .stop = task.sealed});
  {
    const std::lock_guard lock(communicator_mutex_);
    communicator_ = std::move(communicator);
    if (task.sealed.stop_requested() || reporter_->ending()) communicator_->abort();
  }
  if (rank != rank_ || world != world_) batches_.read_ahead(recipe_.data, rank, world);
  rank_ = rank;
  world_ = world;
  reporter_->enter(ballot_, leads());
  if (leads()) {
    lead();
  } else if (checkpointer_) {
    checkpointer_->abandon();
  }
}

// What rank 0 does for all.
void Trainer::lead() {
  if (!checkpointer_) checkpointer_ = make_checkpointer();
  if (board_) return;
  board_.emplace(recipe_, *dataset_, replica_, batches_,
                 [this](cluster::Body body) { reporter_->send(std::move(body)); });
  if (began_run_ && applied() == begin_step_) announce();
}

std::unique_ptr<Checkpointer> Trainer::make_checkpointer() {
  const auto report = [this](const cluster::EventReport& event) {
    const LogLevel level = event.kind == "checkpoint" ? LogLevel::kInfo : LogLevel::kWarning;
    logger_.write(level, fmt::format("{} after step {}: {}", event.kind, event.step, event.detail));
    if (command_.at_instant) command_.at_instant("saved", event.step);
    reporter_->send(event);
  };
  return std::make_unique<Checkpointer>(
      command_.run_directory, recipe_, replica_,
      CheckpointerOptions{.recorded = [this](std::int64_t step) { return reporter_->recorded(step); },
                          .report = report,
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

std::optional<Trainer::End> Trainer::train(const EnterEpoch& task) {
  meet(task);
  const auto shards = static_cast<std::int32_t>(recipe_.train.logical_shards);
  // Whoever was interrupted before the evaluation of the last step was through has the others do it again.
  std::uint8_t evaluated = evaluated_after_ == applied() ? 1 : 0;
  std::vector<std::uint8_t> all(static_cast<std::size_t>(world_));
  std::vector<std::span<std::byte>> received;
  for (std::uint8_t& flag : all) received.push_back(bytes_of(flag));
  communicator_->all_gather_v(bytes_of(evaluated), received);
  if (std::ranges::count(all, 0) > 0) evaluated_after_ = 0;
  const distributed::Assignment regular = distributed::regular_assignment(shards, world_);
  const distributed::Assignment first =
      distributed::agree_on_assignment(*communicator_, shards, applied() + 1, reducer_.held(applied() + 1));
  const distributed::Assignment* assignment = &first;

  if (std::optional<End> end = evaluate_if_due()) return end;
  if (leads() && Checkpointer::due(recipe_, applied()) && saved_after_ < applied()) save();
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
  reporter_->report(result.step,
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
                                        .ballot = ballot_});
}

std::optional<Trainer::End> Trainer::after_step(const StepResult& result) {
  if (leads() && board_) board_->after_step(result.step, reducer_.reduced_data(), result.count);
  if (result.stop) return stop_after(result.step);
  if (std::optional<End> end = evaluate_if_due()) return end;
  if (leads() && Checkpointer::due(recipe_, result.step)) save();
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

// --- checkpoints and the end

CheckpointFacts Trainer::facts() const {
  return {.step = applied(),
          .ballot = ballot_,
          .world = world_,
          .loss = last_.loss,
          .evaluated = evaluated_after_ == applied(),
          .data_digest = data_digest_};
}

// Rank 0 writes, in the background. A run of weeks does not end because its disk is full for a while: what stands is
// still there, and the next checkpoint may succeed.
void Trainer::save() {
  at("checkpoint");
  saved_after_ = applied();
  if (applied() < recipe_.train.steps) return checkpointer_->start(facts());
  reporter_->set_position(applied(), cluster::Phase::kCheckpointing);
  checkpointer_->start_last(facts());
}

// Nobody leaves before the checkpoint stands: a launcher may end the others with the first that does. Returns its
// folder to rank 0.
std::string Trainer::wait_for_checkpoint(std::int64_t step, const std::function<std::string()>& wait) {
  std::string checkpoint;
  std::string failure;
  if (leads()) {
    reporter_->set_position(step, cluster::Phase::kCheckpointing);
    try {
      checkpoint = wait();
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
    ends_run_ = leads();
    const std::string what = fmt::format("stopped after step {} without a checkpoint: {}", step, failure);
    // The others hear from the scheduler why.
    fail(leads() ? ErrorCode::kUnavailable : ErrorCode::kPeerLost, "{}", what);
  }
  return checkpoint;
}

Trainer::End Trainer::stop_after(std::int64_t step) {
  const std::string checkpoint = wait_for_checkpoint(step, [&] {
    at("checkpoint");
    return checkpointer_->write(facts());
  });
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

// The run cannot go on, and this worker has its state: what was done is not lost.
Trainer::End Trainer::save_and_leave(const cluster::Stop& stop) {
  reporter_->set_position(applied(), cluster::Phase::kCheckpointing);
  if (!checkpointer_) checkpointer_ = make_checkpointer();
  checkpointer_->write(facts());
  return {.exit_code = stop.exit_code};
}

// Whoever is asked to leads the run to its end; the others wait until that stands on record, ready to take over.
std::optional<Trainer::End> Trainer::finish() {
  const std::int64_t steps = recipe_.train.steps;
  const std::optional<Evaluation> evaluation = run_evaluation(steps);
  if (evaluation && evaluation->abandoned) {
    wait_for_checkpoint(steps, [this] { return checkpointer_->finish(); });
    return stopped_at_checkpoint(steps);
  }
  if (leads()) {
    reporter_->set_position(steps, cluster::Phase::kCheckpointing);
    ends_run_ = true;
    checkpointer_->finish();
    ends_run_ = false;
  }
  reporter_->set_position(steps, cluster::Phase::kWaiting);
  // Of this process: whoever resumed a run did not see how fast it was before.
  const double samples = static_cast<double>((steps - begin_step_) * recipe_.train.global_batch);
  const double tokens = samples * static_cast<double>(dataset_->tokens_per_sample());
  cluster::FinalReport report{.steps = steps,
                              .final_loss = last_.loss,
                              .parameters_hash = leads() ? replica_.parameters_hash() : "",
                              .state_hash = leads() ? replica_.state_hash(steps) : "",
                              .eval_loss = evaluation ? evaluation->loss : std::nan(""),
                              .eval_accuracy = std::nullopt,
                              .samples_per_s = samples > 0 ? samples / training_s_ : 0.0,
                              .tokens_per_s = std::nullopt,
                              .wall_s = duration<double>(Clock::now() - command_.started).count(),
                              .start_to_first_step_s = start_to_first_step_s_,
                              .world = world_};
  if (evaluation) report.eval_accuracy = evaluation->accuracy;
  if (dataset_->tokens_per_sample() > 0) report.tokens_per_s = samples > 0 ? tokens / training_s_ : 0.0;
  at("finish");
  if (leads()) reporter_->report(steps, report);
  return std::nullopt;
}

}  // namespace convoy::worker
