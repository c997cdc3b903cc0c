// What workers, agents and the scheduler say to each other, as plain values. cluster/wire.proto is how they travel.
//
// Agent: the `convoy launch` process of a node. Every message carries the schema version, the ballot its sender
// believes in and the sender's UUID.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/base/ballot.h"
#include "core/base/fingerprint.h"
#include "core/base/uuid.h"

namespace convoy::cluster {

inline constexpr std::uint32_t kSchemaVersion = 3;
inline constexpr std::size_t kMaxMessageBytes = 16 << 20;

// Where a worker's training thread is.
enum class Phase : std::uint8_t {
  kStarting,
  kWaiting,
  kForwardBackward,
  kReducing,
  kUpdating,
  kEvaluating,
  kCheckpointing,
  kLeaving
};
std::string_view phase_name(Phase phase);  // "starting", "waiting", "forward_backward", …

// Where a worker serves its state and reduced gradients to others of the run (worker/donor.h).
struct Service {
  std::string address;  // "tcp://10.0.0.7:41234"; of a host with several all of them, with commas between
  bool operator==(const Service&) const = default;
};

struct Member {
  Uuid uuid;
  std::int32_t rank = 0;
  std::string host;
  std::int32_t pid = 0;
  std::string meeting_place;  // where the worker's engine meets its peers (Engine::meeting_place())
  Service donor{};
  bool operator==(const Member&) const = default;
};

// What a worker has and is bound to, as far as the membership protocol goes. A fresh process is bound to nothing.
struct Standing {
  Ballot sealed{};   // neither applies nor fetches under an older one
  Ballot entered{};  // of the last epoch it took part in
  bool has_state = false;
  std::int64_t applied = 0;  // steps, where it has state
  // Rolling hashes of (step, checksum of the reduced gradient): up to `applied`, and up to the step before.
  std::uint64_t chain = 0;
  std::uint64_t previous_chain = 0;
  bool operator==(const Standing&) const = default;
};

// Worker → scheduler: first message, again to a scheduler that was started anew.
struct Register {
  std::int32_t rank = -1;  // as the launcher numbered it
  std::string host;
  std::int32_t pid = 0;
  std::string meeting_place;
  Service donor{};
  Fingerprint fingerprint;
  Standing standing{};
  bool operator==(const Register&) const = default;
};
// Agent → scheduler: first message; from then on it receives Progress, Event notices and Stop.
struct RegisterAgent {
  std::string host;
  std::int32_t pid = 0;
  bool operator==(const RegisterAgent&) const = default;
};
// Scheduler → worker: this process may not take part; `reason` is one line.
struct Refuse {
  std::string reason;
  bool operator==(const Refuse&) const = default;
};
// Scheduler → workers: seal the envelope's ballot, that is: take part in no older one any more, and answer where you
// stand.
struct Seal {
  // First finish the steps up to this one under the present epoch (a joiner comes in without a step being redone);
  // -1: at once.
  std::int64_t at_step = -1;
  // Who works under this ballot, or has sealed it, goes on undisturbed and answers so (the scheduler was only started
  // anew). Zero: nobody does.
  Ballot keep{};
  bool operator==(const Seal&) const = default;
};
// Worker → scheduler: the answer to the Seal of the envelope's ballot.
struct SealAnswer {
  Standing standing{};
  bool kept = false;                // goes on under the ballot that was to be kept
  std::vector<Uuid> unreachable{};  // members with which it could not communicate
  bool operator==(const SealAnswer&) const = default;
};
// Scheduler → workers: the membership (in rank order) of the envelope's ballot, and the step to resume from. Who has
// not applied that step fetches it from a donor; where there are no donors, everybody reads the checkpoint of that
// step (none for step 0).
struct Epoch {
  std::vector<Member> members;
  std::int64_t resume_step = 0;  // steps already applied
  std::vector<Uuid> donors{};    // members that have applied them
  std::uint64_t chain = 0;       // the donors' rolling hashes up to that step, and up to the one before
  std::uint64_t previous_chain = 0;
  bool operator==(const Epoch&) const = default;
};
// Scheduler → the agent of a worker, and the worker itself: it takes part no more. The agent kills the process and
// answers with WorkerEnded; until then no epoch is announced.
struct Exclude {
  Uuid worker;
  std::int32_t rank = -1;
  std::int32_t pid = 0;
  std::string reason;  // one line
  bool operator==(const Exclude&) const = default;
};
// Worker → scheduler: communication under the envelope's ballot failed, with these members where it is known.
struct PeersLost {
  std::vector<Uuid> peers;
  bool operator==(const PeersLost&) const = default;
};
// Scheduler → worker that registers while the run is under way: it may copy the state from one of these, and says Ready
// when it has.
struct Copy {
  std::vector<Member> donors;
  bool operator==(const Copy&) const = default;
};
// Worker that joins → scheduler: it holds a copy of the state and can be made a member.
struct Ready {
  std::int64_t step = 0;  // applied in its copy
  bool operator==(const Ready&) const = default;
};
// Worker → scheduler, every fault.heartbeat seconds, from a thread that reads the training thread's position.
struct Heartbeat {
  std::int64_t step = 0;  // step under way (from 1)
  Phase phase = Phase::kStarting;
  std::uint64_t activity = 0;  // grows while the training thread computes, so that a long step is no hang
  std::int64_t applied = 0;    // steps
  bool operator==(const Heartbeat&) const = default;
};
// Rank 0 → scheduler: one committed step; becomes one line of metrics.jsonl. Every worker keeps it until it is
// Recorded, so that whoever is rank 0 next can send it again.
struct StepReport {
  std::int64_t step = 0;  // from 1
  double loss = 0.0;
  std::uint32_t loss_bits = 0;
  double lr = 0.0;
  double grad_norm = 0.0;
  std::int64_t samples = 0;  // in this step
  std::int64_t tokens = -1;  // in this step; -1: not text
  double step_ms = 0.0;
  double compute_ms = 0.0;
  double comm_ms = 0.0;  // exposed
  std::int32_t world = 0;
  Ballot ballot{};                          // under which the step was committed
  std::vector<std::int32_t> shard_ranks{};  // by logical shard: the rank, under that ballot, that summed it
  bool operator==(const StepReport&) const = default;
};
// Rank 0 → scheduler: a held-out evaluation after `step`; becomes an event of kind "eval".
struct EvalReport {
  std::int64_t step = 0;
  double loss = 0.0;
  std::optional<double> accuracy;
  bool operator==(const EvalReport&) const = default;
};
// Rank 0 → scheduler: how the values of a tensor are distributed after `step`; for TensorBoard.
struct HistogramReport {
  std::int64_t step = 0;
  std::string tag;  // "weights/h.0.attn.weight"
  double min = 0.0;
  double max = 0.0;
  double count = 0.0;  // of values
  double sum = 0.0;
  double sum_squares = 0.0;
  std::vector<double> limits;  // ascending; bucket i lies below limits[i]
  std::vector<double> counts;  // one a limit
  bool operator==(const HistogramReport&) const = default;
};
// Rank 0 → scheduler: a text (Markdown) about the state after `step`; for TensorBoard.
struct TextReport {
  std::int64_t step = 0;
  std::string tag;  // "recipe"
  std::string text;
  bool operator==(const TextReport&) const = default;
};
// Rank 0 → scheduler: what a step computes, as a graph; for TensorBoard.
struct GraphReport {
  struct Output {
    std::string dtype;  // "f32", "bf16", "f64", "i32"
    std::vector<std::int64_t> shape;
    bool operator==(const Output&) const = default;
  };
  struct Node {
    std::string name;  // unique; '/' separates the groups that a viewer folds
    std::string op;
    std::vector<std::string> inputs;  // "name", or "name:2" for the third output of that node
    std::string attributes;           // "axis=1, keep=true"
    std::vector<Output> outputs;
    bool operator==(const Node&) const = default;
  };
  std::vector<Node> nodes;
  bool operator==(const GraphReport&) const = default;
};
// Anyone → scheduler: becomes a line of events.jsonl.
struct EventReport {
  std::string kind;
  std::int64_t step = 0;
  std::string detail;
  bool operator==(const EventReport&) const = default;
};
// Rank 0 → scheduler: the run is complete; becomes final.json together with what the scheduler knows itself.
struct FinalReport {
  std::int64_t steps = 0;
  double final_loss = 0.0;
  std::string parameters_hash;
  std::string state_hash;
  double eval_loss = 0.0;
  std::optional<double> eval_accuracy;
  double samples_per_s = 0.0;
  std::optional<double> tokens_per_s;
  double wall_s = 0.0;
  double start_to_first_step_s = 0.0;
  std::int32_t world = 0;
  bool operator==(const FinalReport&) const = default;
};
// Worker → scheduler: last message; the process exits with `exit_code` next. peak_rss feeds final.json.
struct Leave {
  std::int32_t exit_code = 0;
  std::string reason;  // one line, empty when all is well
  std::int64_t step = 0;
  std::int64_t peak_rss_bytes = 0;
  bool ends_run = false;  // what went wrong would befall every worker: a recipe, a loss that is not finite
  bool operator==(const Leave&) const = default;
};
// Agent → scheduler: a worker process ended. signal is 0 when it exited by itself.
struct WorkerEnded {
  std::int32_t rank = -1;
  std::int32_t pid = 0;
  std::int32_t exit_code = 0;
  std::int32_t signal = 0;
  bool replaced = false;  // the agent starts another worker in its place
  bool operator==(const WorkerEnded&) const = default;
};
// Anyone → scheduler: somebody was asked to stop (SIGINT, SIGTERM).
struct StopRequest {
  std::string reason;  // "stopped by SIGINT": becomes the reason of the Stop
  bool operator==(const StopRequest&) const = default;
};
// Scheduler → workers: finish the step under way, write a checkpoint and leave with exit code 75. Agents hear of it
// too: it may take them a while.
struct FinishStep {
  std::string reason;  // "stopped by SIGTERM"
  bool operator==(const FinishStep&) const = default;
};
// Scheduler → all: end now. exit_code is what the run as a whole returns.
struct Stop {
  std::int32_t exit_code = 1;
  bool save = false;   // first write a checkpoint of the state as it is
  std::string reason;  // "worker 1 (pid 4242) was killed by signal 9 (SIGKILL) at step 17"
  bool operator==(const Stop&) const = default;
};
// Scheduler → agents, a few times a second: what the progress line shows.
struct Progress {
  std::int64_t step = 0;
  std::int64_t steps = 0;
  double loss = 0.0;
  double rate = 0.0;      // of the last seconds
  std::string rate_unit;  // "tokens/s" | "samples/s"
  std::int32_t workers = 0;
  double seconds_left = 0.0;
  bool operator==(const Progress&) const = default;
};
// Scheduler → agents: something worth a line on the terminal ("step 100: held-out loss 2.1").
struct Notice {
  std::string text;
  bool operator==(const Notice&) const = default;
};
// Scheduler → worker: how far the records are on disk. Rank 0 may leave once `final` is true. The other workers get it
// too from time to time (whether it can be sent tells the scheduler whether they are still connected).
struct Recorded {
  std::int64_t step = 0;  // all step reports up to this step
  bool final = false;     // the FinalReport as well
  bool operator==(const Recorded&) const = default;
};

using Body =
    std::variant<Register, RegisterAgent, Refuse, Epoch, Heartbeat, StepReport, EvalReport, EventReport, FinalReport,
                 Leave, WorkerEnded, StopRequest, Stop, Progress, Notice, Recorded, HistogramReport, TextReport,
                 GraphReport, FinishStep, Seal, SealAnswer, Exclude, PeersLost, Ready, Copy>;

struct Message {
  Ballot ballot;
  Uuid sender;
  Body body;
};

// Throws Error(kInvalidArgument) for a message of more than kMaxMessageBytes.
std::string encode(const Message& message);
// Throws Error(kDataLoss) for bytes that are not a message, or one of another schema version (both are named).
Message decode(std::string_view bytes);

}  // namespace convoy::cluster
