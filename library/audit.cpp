#include "library/audit.h"

#include <fmt/format.h>

#include <filesystem>

#include "core/base/error.h"
#include "core/data/sample_use.h"

namespace convoy::library {

RunAudit audit_run(const std::string& run_directory, std::span<const std::string> overrides,
                   const worker::Workload& workload) {
  const std::string path = run_directory + "/recipe.toml";
  if (!std::filesystem::exists(path))
    fail(ErrorCode::kUsage, "{}: expected a run directory, which has a recipe.toml", run_directory);
  const Recipe recipe = load_recipe(path, overrides, workload.program);
  const std::unique_ptr<Dataset> dataset = workload.open_dataset(recipe);
  RunAudit audit;
  audit.shards_a_step = recipe.train.logical_shards;
  audit.samples_a_pass = dataset->size(Split::kTrain);
  SampleUse samples(SampleOrder(recipe.train.seed, audit.samples_a_pass), recipe.train.global_batch,
                    recipe.train.logical_shards);
  audit.shards = scheduler::audit_shards(
      run_directory,
      {.shards = static_cast<std::int32_t>(recipe.train.logical_shards), .samples = recipe.train.global_batch},
      [&](std::int64_t step, std::int32_t shard) { samples.use(step, shard); });
  samples.finish(audit.shards.steps);
  audit.samples = samples.samples();
  audit.wrong = audit.shards.wrong;
  audit.wrong.insert(audit.wrong.end(), samples.wrong().begin(), samples.wrong().end());
  return audit;
}

std::string to_text(const std::string& run_directory, const RunAudit& audit) {
  std::string text = fmt::format("{}: {} steps of {} shards, {} samples in {:.2f} passes over the data", run_directory,
                                 audit.shards.steps, audit.shards_a_step, audit.samples,
                                 static_cast<double>(audit.samples) / static_cast<double>(audit.samples_a_pass));
  text += audit.wrong.empty() ? ": each exactly once" : "";
  for (const scheduler::WorkerShare& share : audit.shards.workers)
    text += fmt::format("\n  worker {}: {} shards in {} steps", share.worker.to_string(), share.shards, share.steps);
  if (audit.shards.without_epoch > 0)
    text += fmt::format("\n  {} steps by workers of whom the journal does not know", audit.shards.without_epoch);
  return text;
}

}  // namespace convoy::library
