#include "cluster/messages.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>

#include "cluster/wire.pb.h"
#include "core/base/error.h"

namespace convoy::cluster {

namespace {

constexpr std::array<std::string_view, 8> kPhaseNames = {"starting", "waiting",    "forward_backward", "reducing",
                                                         "updating", "evaluating", "checkpointing",    "leaving"};
static_assert(wire::Phase_ARRAYSIZE == kPhaseNames.size());
static_assert(static_cast<int>(Phase::kLeaving) == wire::LEAVING);

std::string uuid_bytes(const Uuid& uuid) { return {uuid.bytes.begin(), uuid.bytes.end()}; }

Uuid read_uuid(const std::string& bytes) {
  Uuid uuid;
  if (bytes.size() != uuid.bytes.size()) {
    fail(ErrorCode::kDataLoss, "message with a UUID of {} bytes, expected {}", bytes.size(), uuid.bytes.size());
  }
  std::copy(bytes.begin(), bytes.end(), uuid.bytes.begin());
  return uuid;
}

Phase read_phase(wire::Phase phase) {
  if (!wire::Phase_IsValid(phase)) fail(ErrorCode::kDataLoss, "heartbeat with the unknown phase {}", int{phase});
  return static_cast<Phase>(phase);
}

std::vector<Uuid> read_uuids(const google::protobuf::RepeatedPtrField<std::string>& from) {
  std::vector<Uuid> uuids;
  for (const std::string& bytes : from) uuids.push_back(read_uuid(bytes));
  return uuids;
}

void write(const Ballot& from, wire::Ballot& to) {
  to.set_term(from.term);
  to.set_attempt(from.attempt);
}
Ballot read(const wire::Ballot& from) { return {.term = from.term(), .attempt = from.attempt()}; }

void write(const Standing& from, wire::Standing& to) {
  write(from.sealed, *to.mutable_sealed());
  write(from.entered, *to.mutable_entered());
  to.set_has_state(from.has_state);
  to.set_applied(from.applied);
  to.set_chain(from.chain);
  to.set_previous_chain(from.previous_chain);
}
Standing read(const wire::Standing& from) {
  return {.sealed = read(from.sealed()),
          .entered = read(from.entered()),
          .has_state = from.has_state(),
          .applied = from.applied(),
          .chain = from.chain(),
          .previous_chain = from.previous_chain()};
}

void write(const Service& from, wire::Service& to) { to.set_address(from.address); }
Service read(const wire::Service& from) { return {.address = from.address()}; }

void write(const Member& from, wire::Member& to) {
  to.set_uuid(uuid_bytes(from.uuid));
  to.set_rank(from.rank);
  to.set_host(from.host);
  to.set_pid(from.pid);
  to.set_meeting_place(from.meeting_place);
  write(from.donor, *to.mutable_donor());
}
Member read(const wire::Member& from) {
  return {.uuid = read_uuid(from.uuid()),
          .rank = from.rank(),
          .host = from.host(),
          .pid = from.pid(),
          .meeting_place = from.meeting_place(),
          .donor = read(from.donor())};
}

// A pair of functions for each kind of message: write() puts it into the envelope, read() takes it out.

void write(const Register& from, wire::Envelope& envelope) {
  wire::Register& to = *envelope.mutable_register_();
  to.set_rank(from.rank);
  to.set_host(from.host);
  to.set_pid(from.pid);
  to.set_meeting_place(from.meeting_place);
  write(from.donor, *to.mutable_donor());
  for (const auto& [name, value] : from.fingerprint.entries()) {
    wire::FingerprintEntry& entry = *to.add_fingerprint();
    entry.set_name(name);
    entry.set_value(value);
  }
  write(from.standing, *to.mutable_standing());
}
Register read(const wire::Register& from) {
  Register to{.rank = from.rank(),
              .host = from.host(),
              .pid = from.pid(),
              .meeting_place = from.meeting_place(),
              .donor = read(from.donor()),
              .fingerprint = {},
              .standing = read(from.standing())};
  for (const auto& entry : from.fingerprint()) to.fingerprint.add(entry.name(), entry.value());
  return to;
}

void write(const RegisterAgent& from, wire::Envelope& envelope) {
  wire::RegisterAgent& to = *envelope.mutable_register_agent();
  to.set_host(from.host);
  to.set_pid(from.pid);
}
RegisterAgent read(const wire::RegisterAgent& from) { return {.host = from.host(), .pid = from.pid()}; }

void write(const Refuse& from, wire::Envelope& envelope) { envelope.mutable_refuse()->set_reason(from.reason); }
Refuse read(const wire::Refuse& from) { return {.reason = from.reason()}; }

void write(const Epoch& from, wire::Envelope& envelope) {
  wire::Epoch& to = *envelope.mutable_epoch();
  to.set_resume_step(from.resume_step);
  for (const Member& member : from.members) write(member, *to.add_members());
  for (const Uuid& donor : from.donors) to.add_donors(uuid_bytes(donor));
  to.set_chain(from.chain);
  to.set_previous_chain(from.previous_chain);
}
Epoch read(const wire::Epoch& from) {
  Epoch to{.members = {},
           .resume_step = from.resume_step(),
           .donors = read_uuids(from.donors()),
           .chain = from.chain(),
           .previous_chain = from.previous_chain()};
  for (const auto& member : from.members()) to.members.push_back(read(member));
  return to;
}

void write(const Heartbeat& from, wire::Envelope& envelope) {
  wire::Heartbeat& to = *envelope.mutable_heartbeat();
  to.set_step(from.step);
  to.set_phase(static_cast<wire::Phase>(from.phase));
  to.set_activity(from.activity);
  to.set_applied(from.applied);
}
Heartbeat read(const wire::Heartbeat& from) {
  return {
      .step = from.step(), .phase = read_phase(from.phase()), .activity = from.activity(), .applied = from.applied()};
}

void write(const StepReport& from, wire::Envelope& envelope) {
  wire::StepReport& to = *envelope.mutable_step_report();
  to.set_step(from.step);
  to.set_loss(from.loss);
  to.set_loss_bits(from.loss_bits);
  to.set_lr(from.lr);
  to.set_grad_norm(from.grad_norm);
  to.set_samples(from.samples);
  to.set_tokens(from.tokens);
  to.set_step_ms(from.step_ms);
  to.set_compute_ms(from.compute_ms);
  to.set_comm_ms(from.comm_ms);
  to.set_world(from.world);
  write(from.ballot, *to.mutable_ballot());
  to.mutable_shard_ranks()->Add(from.shard_ranks.begin(), from.shard_ranks.end());
}
StepReport read(const wire::StepReport& from) {
  for (const std::int32_t rank : from.shard_ranks()) {
    if (rank < 0 || rank >= from.world())
      fail(ErrorCode::kDataLoss, "report of step {} with a shard of rank {} among {}", from.step(), rank, from.world());
  }
  return {.step = from.step(),
          .loss = from.loss(),
          .loss_bits = from.loss_bits(),
          .lr = from.lr(),
          .grad_norm = from.grad_norm(),
          .samples = from.samples(),
          .tokens = from.tokens(),
          .step_ms = from.step_ms(),
          .compute_ms = from.compute_ms(),
          .comm_ms = from.comm_ms(),
          .world = from.world(),
          .ballot = read(from.ballot()),
          .shard_ranks = {from.shard_ranks().begin(), from.shard_ranks().end()}};
}

void write(const EvalReport& from, wire::Envelope& envelope) {
  wire::EvalReport& to = *envelope.mutable_eval_report();
  to.set_step(from.step);
  to.set_loss(from.loss);
  if (from.accuracy) to.set_accuracy(*from.accuracy);
}
EvalReport read(const wire::EvalReport& from) {
  EvalReport to{.step = from.step(), .loss = from.loss(), .accuracy = std::nullopt};
  if (from.has_accuracy()) to.accuracy = from.accuracy();
  return to;
}

void write(const EventReport& from, wire::Envelope& envelope) {
  wire::EventReport& to = *envelope.mutable_event_report();
  to.set_kind(from.kind);
  to.set_step(from.step);
  to.set_detail(from.detail);
}
EventReport read(const wire::EventReport& from) {
  return {.kind = from.kind(), .step = from.step(), .detail = from.detail()};
}

void write(const FinalReport& from, wire::Envelope& envelope) {
  wire::FinalReport& to = *envelope.mutable_final_report();
  to.set_steps(from.steps);
  to.set_final_loss(from.final_loss);
  to.set_parameters_hash(from.parameters_hash);
  to.set_state_hash(from.state_hash);
  to.set_eval_loss(from.eval_loss);
  if (from.eval_accuracy) to.set_eval_accuracy(*from.eval_accuracy);
  to.set_samples_per_s(from.samples_per_s);
  if (from.tokens_per_s) to.set_tokens_per_s(*from.tokens_per_s);
  to.set_wall_s(from.wall_s);
  to.set_start_to_first_step_s(from.start_to_first_step_s);
  to.set_world(from.world);
}
FinalReport read(const wire::FinalReport& from) {
  FinalReport to;
  to.steps = from.steps();
  to.final_loss = from.final_loss();
  to.parameters_hash = from.parameters_hash();
  to.state_hash = from.state_hash();
  to.eval_loss = from.eval_loss();
  if (from.has_eval_accuracy()) to.eval_accuracy = from.eval_accuracy();
  to.samples_per_s = from.samples_per_s();
  if (from.has_tokens_per_s()) to.tokens_per_s = from.tokens_per_s();
  to.wall_s = from.wall_s();
  to.start_to_first_step_s = from.start_to_first_step_s();
  to.world = from.world();
  return to;
}

void write(const Leave& from, wire::Envelope& envelope) {
  wire::Leave& to = *envelope.mutable_leave();
  to.set_exit_code(from.exit_code);
  to.set_reason(from.reason);
  to.set_step(from.step);
  to.set_peak_rss_bytes(from.peak_rss_bytes);
  to.set_ends_run(from.ends_run);
}
Leave read(const wire::Leave& from) {
  return {.exit_code = from.exit_code(),
          .reason = from.reason(),
          .step = from.step(),
          .peak_rss_bytes = from.peak_rss_bytes(),
          .ends_run = from.ends_run()};
}

void write(const WorkerEnded& from, wire::Envelope& envelope) {
  wire::WorkerEnded& to = *envelope.mutable_worker_ended();
  to.set_rank(from.rank);
  to.set_pid(from.pid);
  to.set_exit_code(from.exit_code);
  to.set_signal(from.signal);
  to.set_replaced(from.replaced);
}
WorkerEnded read(const wire::WorkerEnded& from) {
  return {.rank = from.rank(),
          .pid = from.pid(),
          .exit_code = from.exit_code(),
          .signal = from.signal(),
          .replaced = from.replaced()};
}

void write(const StopRequest& from, wire::Envelope& envelope) {
  envelope.mutable_stop_request()->set_reason(from.reason);
}
StopRequest read(const wire::StopRequest& from) { return {.reason = from.reason()}; }

void write(const Stop& from, wire::Envelope& envelope) {
  envelope.mutable_stop()->set_exit_code(from.exit_code);
  envelope.mutable_stop()->set_reason(from.reason);
  envelope.mutable_stop()->set_save(from.save);
}
Stop read(const wire::Stop& from) {
  return {.exit_code = from.exit_code(), .save = from.save(), .reason = from.reason()};
}

void write(const Progress& from, wire::Envelope& envelope) {
  wire::Progress& to = *envelope.mutable_progress();
  to.set_step(from.step);
  to.set_steps(from.steps);
  to.set_loss(from.loss);
  to.set_rate(from.rate);
  to.set_rate_unit(from.rate_unit);
  to.set_workers(from.workers);
  to.set_seconds_left(from.seconds_left);
}
Progress read(const wire::Progress& from) {
  return {.step = from.step(),
          .steps = from.steps(),
          .loss = from.loss(),
          .rate = from.rate(),
          .rate_unit = from.rate_unit(),
          .workers = from.workers(),
          .seconds_left = from.seconds_left()};
}

void write(const Notice& from, wire::Envelope& envelope) { envelope.mutable_notice()->set_text(from.text); }
Notice read(const wire::Notice& from) { return {.text = from.text()}; }

void write(const Recorded& from, wire::Envelope& envelope) {
  envelope.mutable_recorded()->set_step(from.step);
  envelope.mutable_recorded()->set_final(from.final);
}
Recorded read(const wire::Recorded& from) { return {.step = from.step(), .final = from.final()}; }

void write(const HistogramReport& from, wire::Envelope& envelope) {
  wire::HistogramReport& to = *envelope.mutable_histogram_report();
  to.set_step(from.step);
  to.set_tag(from.tag);
  to.set_min(from.min);
  to.set_max(from.max);
  to.set_count(from.count);
  to.set_sum(from.sum);
  to.set_sum_squares(from.sum_squares);
  to.mutable_limits()->Add(from.limits.begin(), from.limits.end());
  to.mutable_counts()->Add(from.counts.begin(), from.counts.end());
}
HistogramReport read(const wire::HistogramReport& from) {
  if (from.limits_size() != from.counts_size())
    fail(ErrorCode::kDataLoss, "histogram {} of {} limits and {} counts, expected as many", from.tag(),
         from.limits_size(), from.counts_size());
  return {.step = from.step(),
          .tag = from.tag(),
          .min = from.min(),
          .max = from.max(),
          .count = from.count(),
          .sum = from.sum(),
          .sum_squares = from.sum_squares(),
          .limits = {from.limits().begin(), from.limits().end()},
          .counts = {from.counts().begin(), from.counts().end()}};
}

void write(const TextReport& from, wire::Envelope& envelope) {
  wire::TextReport& to = *envelope.mutable_text_report();
  to.set_step(from.step);
  to.set_tag(from.tag);
  to.set_text(from.text);
}
TextReport read(const wire::TextReport& from) { return {.step = from.step(), .tag = from.tag(), .text = from.text()}; }

void write(const GraphReport& from, wire::Envelope& envelope) {
  wire::GraphReport& to = *envelope.mutable_graph_report();
  for (const GraphReport::Node& node : from.nodes) {
    wire::GraphReport::Node& added = *to.add_nodes();
    added.set_name(node.name);
    added.set_op(node.op);
    for (const std::string& input : node.inputs) added.add_inputs(input);
    added.set_attributes(node.attributes);
    for (const GraphReport::Output& output : node.outputs) {
      wire::GraphReport::Output& last = *added.add_outputs();
      last.set_dtype(output.dtype);
      last.mutable_shape()->Add(output.shape.begin(), output.shape.end());
    }
  }
}
GraphReport read(const wire::GraphReport& from) {
  GraphReport report;
  for (const wire::GraphReport::Node& node : from.nodes()) {
    GraphReport::Node& added = report.nodes.emplace_back();
    added.name = node.name();
    added.op = node.op();
    added.inputs.assign(node.inputs().begin(), node.inputs().end());
    added.attributes = node.attributes();
    for (const wire::GraphReport::Output& output : node.outputs())
      added.outputs.push_back({.dtype = output.dtype(), .shape = {output.shape().begin(), output.shape().end()}});
  }
  return report;
}

void write(const FinishStep& from, wire::Envelope& envelope) {
  envelope.mutable_finish_step()->set_reason(from.reason);
}
FinishStep read(const wire::FinishStep& from) { return {.reason = from.reason()}; }

void write(const Seal& from, wire::Envelope& envelope) {
  envelope.mutable_seal()->set_at_step(from.at_step);
  write(from.keep, *envelope.mutable_seal()->mutable_keep());
}
Seal read(const wire::Seal& from) { return {.at_step = from.at_step(), .keep = read(from.keep())}; }

void write(const SealAnswer& from, wire::Envelope& envelope) {
  wire::SealAnswer& to = *envelope.mutable_seal_answer();
  write(from.standing, *to.mutable_standing());
  to.set_kept(from.kept);
  for (const Uuid& peer : from.unreachable) to.add_unreachable(uuid_bytes(peer));
}
SealAnswer read(const wire::SealAnswer& from) {
  return {.standing = read(from.standing()), .kept = from.kept(), .unreachable = read_uuids(from.unreachable())};
}

void write(const Exclude& from, wire::Envelope& envelope) {
  wire::Exclude& to = *envelope.mutable_exclude();
  to.set_worker(uuid_bytes(from.worker));
  to.set_rank(from.rank);
  to.set_pid(from.pid);
  to.set_reason(from.reason);
}
Exclude read(const wire::Exclude& from) {
  return {.worker = read_uuid(from.worker()), .rank = from.rank(), .pid = from.pid(), .reason = from.reason()};
}

void write(const PeersLost& from, wire::Envelope& envelope) {
  wire::PeersLost& to = *envelope.mutable_peers_lost();
  for (const Uuid& peer : from.peers) to.add_peers(uuid_bytes(peer));
}
PeersLost read(const wire::PeersLost& from) { return {.peers = read_uuids(from.peers())}; }

void write(const Ready& from, wire::Envelope& envelope) { envelope.mutable_ready()->set_step(from.step); }
Ready read(const wire::Ready& from) { return {.step = from.step()}; }

void write(const Copy& from, wire::Envelope& envelope) {
  for (const Member& donor : from.donors) write(donor, *envelope.mutable_copy()->add_donors());
}
Copy read(const wire::Copy& from) {
  Copy to;
  for (const auto& donor : from.donors()) to.donors.push_back(read(donor));
  return to;
}

Body read_body(const wire::Envelope& envelope) {
  switch (envelope.body_case()) {
    case wire::Envelope::kRegister:
      return read(envelope.register_());
    case wire::Envelope::kRegisterAgent:
      return read(envelope.register_agent());
    case wire::Envelope::kRefuse:
      return read(envelope.refuse());
    case wire::Envelope::kEpoch:
      return read(envelope.epoch());
    case wire::Envelope::kHeartbeat:
      return read(envelope.heartbeat());
    case wire::Envelope::kStepReport:
      return read(envelope.step_report());
    case wire::Envelope::kEvalReport:
      return read(envelope.eval_report());
    case wire::Envelope::kEventReport:
      return read(envelope.event_report());
    case wire::Envelope::kFinalReport:
      return read(envelope.final_report());
    case wire::Envelope::kLeave:
      return read(envelope.leave());
    case wire::Envelope::kWorkerEnded:
      return read(envelope.worker_ended());
    case wire::Envelope::kStopRequest:
      return read(envelope.stop_request());
    case wire::Envelope::kStop:
      return read(envelope.stop());
    case wire::Envelope::kProgress:
      return read(envelope.progress());
    case wire::Envelope::kNotice:
      return read(envelope.notice());
    case wire::Envelope::kRecorded:
      return read(envelope.recorded());
    case wire::Envelope::kHistogramReport:
      return read(envelope.histogram_report());
    case wire::Envelope::kTextReport:
      return read(envelope.text_report());
    case wire::Envelope::kGraphReport:
      return read(envelope.graph_report());
    case wire::Envelope::kFinishStep:
      return read(envelope.finish_step());
    case wire::Envelope::kSeal:
      return read(envelope.seal());
    case wire::Envelope::kSealAnswer:
      return read(envelope.seal_answer());
    case wire::Envelope::kExclude:
      return read(envelope.exclude());
    case wire::Envelope::kPeersLost:
      return read(envelope.peers_lost());
    case wire::Envelope::kReady:
      return read(envelope.ready());
    case wire::Envelope::kCopy:
      return read(envelope.copy());
    case wire::Envelope::BODY_NOT_SET:
      break;
  }
  fail(ErrorCode::kDataLoss, "message of a kind that schema version {} does not have", kSchemaVersion);
}

}  // namespace

std::string_view phase_name(Phase phase) { return kPhaseNames.at(static_cast<std::size_t>(phase)); }

std::string encode(const Message& message) {
  wire::Envelope envelope;
  envelope.set_schema(kSchemaVersion);
  envelope.set_term(message.ballot.term);
  envelope.set_attempt(message.ballot.attempt);
  envelope.set_sender(uuid_bytes(message.sender));
  std::visit([&](const auto& body) { write(body, envelope); }, message.body);
  std::string bytes = envelope.SerializeAsString();
  if (bytes.size() > kMaxMessageBytes) {
    fail(ErrorCode::kInvalidArgument, "message of {} bytes, at most {} can be sent", bytes.size(), kMaxMessageBytes);
  }
  return bytes;
}

Message decode(std::string_view bytes) {
  wire::Envelope envelope;
  if (bytes.size() > kMaxMessageBytes || !envelope.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    fail(ErrorCode::kDataLoss, "{} bytes that are not a message of schema version {}", bytes.size(), kSchemaVersion);
  }
  if (envelope.schema() != kSchemaVersion) {
    fail(ErrorCode::kDataLoss,
         "message of schema version {}, expected {}: all processes of a run must be the same build", envelope.schema(),
         kSchemaVersion);
  }
  return {.ballot = {.term = envelope.term(), .attempt = envelope.attempt()},
          .sender = read_uuid(envelope.sender()),
          .body = read_body(envelope)};
}

}  // namespace convoy::cluster
