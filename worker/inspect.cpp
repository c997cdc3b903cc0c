#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "core/base/error.h"
#include "core/graph/passes/pass.h"
#include "distributed/worker_block.h"
#include "worker/batches.h"
#include "worker/commands.h"
#include "worker/dry_run.h"
#include "worker/evaluation.h"
#include "worker/memory_share.h"
#include "worker/replica.h"

namespace convoy::worker {
namespace {

using Print = std::function<void(const std::string&)>;

void print_graph(const Print& print, const std::string& title, const Graph& graph) {
  std::string text = to_text(graph, true);
  text.pop_back();  // print() ends the line
  print("# " + title + "\n" + text + "\n");
}

// Rank 0's step, captured. Its state and gradients are never touched, so that they take no memory.
class CapturedStep {
 public:
  CapturedStep(const InspectCommand& command, ReplicaOptions options)
      : recipe_(command.recipe),
        dataset_(command.workload.open_dataset(recipe_)),
        device_(static_cast<int>(recipe_.train.threads)),
        replica_(recipe_, command.workload.make_model(recipe_, task_of(*dataset_, recipe_)), device_,
                 completed(std::move(options), command)),
        reduced_(std::make_unique_for_overwrite<float[]>(static_cast<std::size_t>(replica_.layout().elements()))) {
    const Batches batches(*dataset_, recipe_.train, device_);
    replica_.capture_step(batches.specs(), reduced_.get());
    if (batches.evaluation_batches() > 0) replica_.capture(evaluation_of(replica_), batches.specs());
  }

  const Replica& replica() const { return replica_; }

 private:
  std::int32_t shards() const { return static_cast<std::int32_t>(recipe_.train.logical_shards); }
  ReplicaOptions completed(ReplicaOptions options, const InspectCommand& command) const {
    const Subtree block = distributed::worker_block(shards(), 0, command.workers).leaves;
    options.shards = block.end - block.begin;
    options.gradient_arenas = gradient_arenas(shards(), 0, command.workers);
    options.most_bytes = memory_share(command.local_workers).value_or(options.most_bytes);
    options.passes = parse_passes(command.inspection.passes);
    options.state = ReplicaOptions::State::kUntouched;
    return options;
  }

  const Recipe& recipe_;
  const std::unique_ptr<Dataset> dataset_;
  CpuDevice device_;
  Replica replica_;
  const std::unique_ptr<float[]> reduced_;  // gradient
};

}  // namespace

void check_inspection(const Recipe& recipe, const Inspection& inspection) {
  parse_passes(inspection.passes);
  const auto& profile = inspection.profile;
  if ((inspection.instead_of_training() || profile) && recipe.train.graph != "static")
    fail(ErrorCode::kUsage, "{}: only a captured step can be shown or profiled; expected \"static\", found \"{}\"",
         recipe.where("train.graph"), recipe.train.graph);
  if (inspection.passes != Inspection().passes && recipe.train.graph != "static")
    fail(ErrorCode::kUsage, "{}: --passes are of captured steps; expected \"static\", found \"{}\"",
         recipe.where("train.graph"), recipe.train.graph);
  if (profile && profile->first > recipe.train.steps)
    fail(ErrorCode::kUsage, "--profile {}:{}: expected steps of the run, which has {} ({})", profile->first,
         profile->last, recipe.train.steps, recipe.where("train.steps"));
}

void check_profiled_steps(const Inspection& inspection, std::int64_t resume_step) {
  const auto& profile = inspection.profile;
  if (profile && profile->last <= resume_step)
    fail(ErrorCode::kUsage, "--profile {}:{}: expected steps that are still to come: the run goes on after step {}",
         profile->first, profile->last, resume_step);
}

void check_step_fits(const InspectCommand& command) { const CapturedStep step(command, {}); }

void inspect(const InspectCommand& command, const Print& print) {
  ReplicaOptions options;
  options.warn = [&](const std::string& warning) { print("warning: " + warning + "\n"); };
  std::string function_shown;
  if (command.inspection.print_graph) {
    options.observe = [&](const std::string& function, const Pass& pass, const Graph& before, const Graph& after) {
      if (function != function_shown) print_graph(print, function + ", captured", before);
      function_shown = function;
      print_graph(print, fmt::format("{}, after {}", function, pass.name), after);
    };
  }
  const CapturedStep step(command, std::move(options));
  if (command.inspection.print_graph && function_shown.empty()) {  // no pass is on
    for (const PlannedFunction& planned : step.replica().plans())
      print_graph(print, planned.name + ", captured", planned.captured.graph);
  }
  if (command.inspection.dry_run) {
    std::string text = dry_run(command.recipe, step.replica(), command.workers, command.local_workers);
    text.pop_back();  // print() ends the line
    print(text);
  }
}

}  // namespace convoy::worker
