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
#include "distributed/peer_lost.h"
#include "distributed/worker_block.h"
#include "worker/checkpoint.h"
#include "worker/fingerprint.h"
#include "worker/memory_share.h"
#include "worker/reduced_parts.h"
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
                .state = ReplicaOptions::State::kZero,
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
  if (shards_of(command_) == 1)
    replica_.place_gradients(batches_.specs(), reducer_.memory_of_one(command_.place.world == 1));
  if (batches_.evaluation_batches() > 0) replica_.capture(evaluation_of(replica_), batches_.specs());
  data_digest_ = dataset_->digest();
  state_parts_ = parts_of(replica_);
  state_parts_.push_back(bytes_of(last_));
  const auto find = [this](const Ballot& ballot, const Pull& pull) {
    Offer offer{.kind = session_.offers(ballot, pull.what, pull.step)};
    if (offer.kind != Offer::Kind::kHere) return offer;
    at("serve");
    if (pull.what == Pull::What::kGradient) return offer_of_reduced(reducer_, pull.step);
    offer.parts = state_parts_;
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
          .on_second_signal = command_.on_second_signal,
          .find_scheduler = command_.find_scheduler},
      command_.take_signals(), logger_);
  at("register");
  reporter_->enroll({.rank = command_.place.rank,
                     .host = cluster::host_name(),
                     .pid = static_cast<std::int32_t>(getpid()),
                     .meeting_place = engine_->meeting_place(),
                     .donor = donor_->service(),
                     .fingerprint = fingerprint_of(recipe_, *dataset_, replica_, command_.environment)});
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

// Who cannot be reached is part of the answer to the seal that comes of it; who only ended, or came too late, does not
// answer one, or comes the next time.
void Trainer::tell_lost(const Error& error, const Ballot& ballot) {
  logger_.warning("{}", error.what());
  cluster::PeersLost message;
  std::vector<Uuid> unreachable;
  if (const auto* lost = dynamic_cast<const distributed::PeerLost*>(&error)) {
    for (const distributed::LostPeer& peer : lost->peers()) {
      message.peers.push_back(peer.uuid);
      if (peer.how == distributed::LostPeer::How::kUnreachable) unreachable.push_back(peer.uuid);
    }
  }
  session_.unreachable(ballot, unreachable);
  reporter_->lose_peers(ballot, std::move(message));
}

Trainer::End Trainer::over() {
  const std::optional<cluster::Stop> stop = reporter_->stop();
  if (stop && stop->save && session_.standing().has_state) return save_and_leave(*stop);
  if (reporter_->ending() == Reporter::End::kLost && session_.standing().has_state && applied() > 0)
    return save_alone();
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
    if (checkpointer_) {
      checkpointer_->abandon_shared("the run ends");
      checkpointer_->finish();
    }
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

}  // namespace convoy::worker
