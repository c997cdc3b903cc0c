// Steps that are captured once and replayed (train.graph = "static") and steps that run line by line ("dynamic"): the
// same bits, whatever the number of workers and whichever passes optimise the graph.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <ostream>
#include <string>
#include <vector>

#include "core/graph/passes/pass.h"
#include "tests/bits/bits_run.h"

namespace convoy {
namespace {

struct Row {
  std::string name;
  std::size_t number;
  Job job;
};
void PrintTo(const Row& row, std::ostream* out) { *out << row.name; }

std::vector<Row> all_rows() {
  std::vector<Row> rows;
  for (const std::string& precision : kPrecisions) {
    const auto add = [&](const std::string& name, const std::string& recipe, std::vector<std::string> overrides) {
      overrides.insert(overrides.end(), {"train.logical_shards=4", "sync.bucket_mib=0.05"});
      rows.push_back({name + "_" + precision, rows.size(), {recipe, overrides, precision, /*steps=*/50}});
    };
    const std::string dropout = "model.dropout=0.1";
    add("Mlp", "mnist-mlp.toml", {"model.hidden=[32, 16]", "train.global_batch=32", dropout});
    add("Gpt", "gpt-tiny.toml", {"model.width=32", "data.context=32", "train.global_batch=8", dropout});
    add("GptSmall", "gpt-small.toml",
        {"model.layers=2", "model.heads=2", "model.width=16", "data.context=16", "train.global_batch=8"});
    add("Llama", "llama-tiny.toml", {"model.width=32", "data.context=32", "train.global_batch=8", dropout});
    add("ResNet", "mnist-resnet.toml", {"model.width=2", "train.global_batch=16"});
    add("CifarResNet", "cifar-resnet.toml", {"model.width=2", "train.global_batch=8"});
  }
  return rows;
}

class GraphBitsTest : public ::testing::TestWithParam<Row> {};
INSTANTIATE_TEST_SUITE_P(Recipes, GraphBitsTest, ::testing::ValuesIn(all_rows()),
                         [](const auto& test) { return test.param.name; });

Outcome train(Job job, const std::string& graph, int workers) {
  job.overrides.push_back("train.graph=" + graph);
  return train(job, {.count = workers});
}

TEST_P(GraphBitsTest, ReplaysHaveTheBitsOfDynamicSteps) {
  const Job& job = GetParam().job;
  const Outcome reference = train(job, "dynamic", 2);
  ASSERT_EQ(reference.loss_bits.size(), static_cast<std::size_t>(job.steps));
  for (const int workers : {1, 2, 3}) {
    SCOPED_TRACE(workers);
    expect_same_bits(train(job, "static", workers), reference);
  }
}

// Each pass alone, and none. A test run tries a fourth of them for each recipe, and of the numbers of workers one;
// scripts/graph-bits.sh tries all.
TEST_P(GraphBitsTest, PassesKeepThem) {
  const bool whole = getenv("CONVOY_WHOLE_MATRIX") != nullptr;
  const Row& row = GetParam();
  const Outcome reference = train(row.job, "dynamic", 1);
  std::vector<std::string> settings = {"none"};
  for (const Pass& pass : all_passes()) settings.emplace_back(pass.name);
  for (std::size_t i = 0; i < settings.size(); ++i) {
    if (!whole && (i + row.number) % 4 != 0) continue;
    Job job = row.job;
    job.overrides.push_back("--passes=" + settings[i]);
    for (const int workers : {1, 2, 3}) {
      if (!whole && static_cast<std::size_t>(workers) != 1 + i % 3) continue;
      SCOPED_TRACE(settings[i] + ", workers: " + std::to_string(workers));
      expect_same_bits(train(job, "static", workers), reference);
    }
  }
}

// A run may change its mind.
TEST(GraphBitsOfResumedRunsTest, ARunGoesOnWithTheOtherGraph) {
  const std::vector<std::string> narrow = {"model.width=32", "data.context=32", "train.global_batch=8"};
  Job job{.recipe = "gpt-tiny.toml", .overrides = narrow, .precision = "bf16"};
  const Outcome reference = train(job, "static", 0);
  for (const std::string graph : {"dynamic", "static"}) {
    job.overrides = narrow;
    job.overrides.push_back("train.graph=" + graph);
    BitsRun run;
    run.train(job, {.count = 1});
    run.forget_what_followed(kSteps / 2);
    run.resume({.count = 2}, {graph == "static" ? "train.graph=dynamic" : "train.graph=static"});
    expect_same_bits(run.outcome(), reference);
  }
}

}  // namespace
}  // namespace convoy
