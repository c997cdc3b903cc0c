#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "core/base/error.h"
#include "core/graph/passes/pass.h"
#include "distributed/gradient_reducer.h"
#include "distributed/worker_block.h"
#include "worker/batches.h"
#include "worker/commands.h"
#include "worker/dry_run.h"
#include "worker/evaluation.h"
#include "worker/replica.h"

namespace convoy::worker {
namespace {

using Print = std::function<void(const std::string&)>;

void print_graph(const Print& print, const std::string& title, const Graph& graph) {
  std::string text = to_text(graph, true);
  text.pop_back();  // print() ends the line
  print("# " + title + "\n" + text + "\n");
}

}  // namespace

void check_inspection(const Recipe& recipe, const Inspection& inspection) {
  parse_passes(inspection.passes);
  const auto& profile = inspection.profile;
  if ((inspection.instead_of_training() || profile) && recipe.train.graph != "static")
    fail(ErrorCode::kUsage, "{}: only a captured step can be shown or profiled; expected \"static\", found \"{}\"",
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

void inspect(const InspectCommand& command, const Print& print) {
  const Recipe& recipe = command.recipe;
  const auto shards = static_cast<std::int32_t>(recipe.train.logical_shards);
  const Subtree block = distributed::worker_block(shards, 0, command.workers).leaves;
  ReplicaOptions options{.shards = block.end - block.begin, .passes = parse_passes(command.inspection.passes)};
  std::string function_shown;
  if (command.inspection.print_graph) {
    options.observe = [&](const std::string& function, const Pass& pass, const Graph& before, const Graph& after) {
      if (function != function_shown) print_graph(print, function + ", captured", before);
      function_shown = function;
      print_graph(print, fmt::format("{}, after {}", function, pass.name), after);
    };
  }
  const std::unique_ptr<Dataset> dataset = command.workload.open_dataset(recipe);
  CpuDevice device(static_cast<int>(recipe.train.threads));
  Replica replica(recipe, command.workload.make_model(recipe, task_of(*dataset, recipe)), device, options);
  const Batches batches(*dataset, recipe.train, device);
  distributed::GradientReducer reducer(replica.layout(), static_cast<std::int32_t>(recipe.train.logical_shards), 0,
                                       command.workers);
  // Never touched, so that it takes no memory.
  const auto arena = std::make_unique_for_overwrite<std::byte[]>(reducer.arena_bytes());
  reducer.use_arena({arena.get(), reducer.arena_bytes()});
  replica.capture_step(batches.specs(), reducer.reduced_data());
  if (batches.evaluation_batches() > 0) replica.capture(evaluation_of(replica), batches.specs());
  if (command.inspection.print_graph && function_shown.empty()) {  // no pass is on
    for (const PlannedFunction& planned : replica.plans())
      print_graph(print, planned.name + ", captured", planned.captured.graph);
  }
  if (command.inspection.dry_run) {
    std::string text = dry_run(recipe, replica, reducer, command.workers);
    text.pop_back();  // print() ends the line
    print(text);
  }
}

}  // namespace convoy::worker
