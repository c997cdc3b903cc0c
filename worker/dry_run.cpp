#include "worker/dry_run.h"

#include <fmt/format.h>

#include <iterator>
#include <map>
#include <optional>
#include <set>

#include "core/base/quantity.h"
#include "core/graph/schedule.h"
#include "core/tensor/derived_forms.h"
#include "distributed/gradient_reducer.h"
#include "distributed/worker_block.h"
#include "worker/evaluation.h"
#include "worker/memory_share.h"

namespace convoy::worker {
namespace {

std::string bytes(double count) { return with_prefix(count, "B"); }

double bytes_of_forms(const Replica& replica) {
  std::set<const DerivedForms*> counted;
  double size = 0.0;
  for (const StateTensor& part : replica.state()) {
    const DerivedForms* const forms = part.tensor.derived_forms();
    if (forms != nullptr && counted.insert(forms).second) size += static_cast<double>(forms->unmade_bytes());
  }
  return size;
}

template <typename Out>
void write_memory(const Replica& replica, std::int64_t gradient_arenas, std::int64_t most_arenas,
                  std::int32_t local_world, Out out) {
  double together = 0.0;
  const auto line = [&](std::string_view what, double size, std::string_view remark) {
    together += size;
    fmt::format_to(out, "  {:<26} {:>10}  {}\n", what, bytes(size), remark);
  };
  double parameters = 0.0, moments = 0.0;
  for (const StateTensor& part : replica.state())
    (part.file == kParametersFile ? parameters : moments) += static_cast<double>(part.tensor.spec().bytes());
  fmt::format_to(out, "memory of a worker\n");
  line("parameters", parameters, "f32");
  line("optimizer state", moments, "f32");
  const double gradient = static_cast<double>(replica.layout().elements()) * sizeof(float);
  line("gradients", static_cast<double>(gradient_arenas) * gradient,
       fmt::format("partial sums and the reduced gradient, f32, in {} buckets{}", replica.layout().buckets().size(),
                   most_arenas > gradient_arenas ? fmt::format("; at most {} where workers are lost",
                                                               bytes(static_cast<double>(most_arenas) * gradient))
                                                 : ""));
  if (const double forms = bytes_of_forms(replica); forms > 0.0)
    line("forms of weights", forms, "in the order that products read, cast: made once a step");
  // Plans run one at a time and share their memory, unless a later one needed more.
  const PlannedFunction* largest = nullptr;
  std::map<const Storage*, std::size_t> arenas;
  for (const PlannedFunction& planned : replica.plans()) {
    if (largest == nullptr || planned.plan.memory().bytes > largest->plan.memory().bytes) largest = &planned;
    arenas.emplace(planned.plan.arena().get(), planned.plan.arena()->bytes());
  }
  double values = 0.0;
  for (const auto& [arena, size] : arenas) values += static_cast<double>(size);
  if (largest != nullptr) {
    const MemoryPlan& memory = largest->plan.memory();
    line("values of plans", values,
         fmt::format("most in {}, of which {} are alive at once ({})", largest->name,
                     bytes(static_cast<double>(memory.lower_bound)), memory.heuristic));
  }
  const std::optional<std::size_t> share = memory_share(local_world);
  std::string remark;
  if (share) remark = fmt::format("  of {} available", bytes(static_cast<double>(*share)));
  if (share && local_world > 1) remark += fmt::format(" to each of {} workers on this machine", local_world);
  fmt::format_to(out, "  {:<26} {:>10}{}\n", "together", bytes(together), remark);
}

template <typename Out>
void write_work(const Replica& replica, std::int32_t shards, Out out) {
  fmt::format_to(out, "\nwork of a worker in a step\n  {:<26} {:>6} {:>13} {:>10} {:>6}\n", "", "times", "each", "",
                 "nodes");
  Cost total;
  for (const PlannedFunction& planned : replica.plans()) {
    if (planned.name == kEvaluation) continue;
    const Cost cost = cost_of(planned.captured.graph);
    const std::int32_t times = planned.name == Replica::kGradient ? shards : 1;
    for (std::int32_t i = 0; i < times; ++i) total += cost;
    fmt::format_to(out, "  {:<26} {:>6} {:>13} {:>10} {:>6}\n", planned.name, times, with_prefix(cost.flops, "flop"),
                   bytes(cost.bytes), planned.captured.graph.nodes().size());
  }
  fmt::format_to(out, "  {:<26} {:>6} {:>13} {:>10}\n", "together", "", with_prefix(total.flops, "flop"),
                 bytes(total.bytes));
}

// Each worker sums its slice of every bucket: it gets the others' partial sums of it, and then hands the result round.
template <typename Out>
void write_traffic(const Replica& replica, std::int32_t shards, std::int32_t world, Out out) {
  if (world == 1) {
    fmt::format_to(out, "\ntraffic: none, one worker\n");
    return;
  }
  const distributed::WorkerBlock block = distributed::worker_block(shards, 0, world);
  const auto partials = static_cast<double>(block.schedule.subtree_slot.size());
  const double others = static_cast<double>(world - 1) / world;
  fmt::format_to(out, "\nwhat a worker sends in a step\n");
  double total = 0.0;
  for (std::size_t i = 0; i < replica.layout().buckets().size(); ++i) {
    const distributed::Bucket& bucket = replica.layout().buckets()[i];
    const double size = static_cast<double>(bucket.elements()) * sizeof(float);
    const double sent = (partials + 1.0) * others * size;
    total += sent;
    fmt::format_to(out, "  bucket {:<4} {:>10}  {:>4} parameters  sends {:>10}\n", i, bytes(size),
                   bucket.parameters.size(), bytes(sent));
  }
  fmt::format_to(out, "  together {:>41}\n", bytes(total));
}

}  // namespace

std::string dry_run(const Recipe& recipe, const Replica& replica, std::int32_t world, std::int32_t local_world) {
  std::string text;
  const auto out = std::back_inserter(text);
  std::int64_t parameters = 0;
  for (const distributed::ParameterExtent& extent : replica.layout().parameters()) parameters += extent.elements;
  const auto shards = static_cast<std::int32_t>(recipe.train.logical_shards);
  fmt::format_to(out, "{}, {} parameters, {}; a step is {} logical shards of {} samples, over {} worker{}\n\n",
                 recipe.model.kind, parameters, recipe.train.precision, shards, recipe.train.global_batch / shards,
                 world, world == 1 ? "" : "s");
  const std::int64_t most = world > 1 ? distributed::most_gradient_arenas(shards) : 0;
  write_memory(replica, gradient_arenas(shards, 0, world), most, local_world, out);
  for (const PlannedFunction& planned : replica.plans()) {
    if (planned.name != Replica::kGradient) continue;
    fmt::format_to(out, "\nlargest values of {}, when most bytes are alive{}\n", planned.name,
                   largest_values(planned.plan.buffers(), planned.plan.labels()));
  }
  const Subtree block = block_of(shards, 0, world);
  write_work(replica, block.end - block.begin, out);
  write_traffic(replica, shards, world, out);
  return text;
}

}  // namespace convoy::worker
