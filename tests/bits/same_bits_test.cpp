// Trains the project's own recipes with different numbers of workers and bucket sizes, and compares every bit.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "tests/support/launched_run.h"
#include "tests/support/small_data.h"

namespace convoy {
namespace {

using testing_support::LaunchedRun;

// What must not depend on the number of workers.
struct Outcome {
  std::vector<std::string> loss_bits;
  std::string parameters_hash;
  std::string state_hash;
  double eval_loss = 0.0;
  std::int32_t world = 0;
  int buckets = 0;
};

struct Job {
  std::string recipe;                  // in recipes/
  std::vector<std::string> overrides;  // besides steps and data
};

constexpr int kSteps = 20;

Outcome outcome_of(const std::filesystem::path& run) {
  Outcome outcome;
  std::ifstream metrics(run / "metrics.jsonl");
  for (std::string line; std::getline(metrics, line);)
    outcome.loss_bits.push_back(nlohmann::json::parse(line).at("loss_bits"));
  const auto final_report = nlohmann::json::parse(std::ifstream(run / "final.json"));
  outcome.parameters_hash = final_report.at("parameters_hash");
  outcome.state_hash = final_report.at("state_hash");
  outcome.eval_loss = final_report.at("eval_loss");
  outcome.world = final_report.at("world");
  std::ifstream events(run / "events.jsonl");
  for (std::string line; std::getline(events, line);) {
    const auto event = nlohmann::json::parse(line);
    if (event.at("kind") != "training_started") continue;
    const std::string detail = event.at("detail");  // "gpt with 468480 parameters in 3 buckets; …"
    std::sscanf(detail.c_str(), "%*s with %*d parameters in %d buckets", &outcome.buckets);
  }
  return outcome;
}

enum class Launcher { kConvoy, kMpirun };

// workers = 0: `convoy train` without a launcher.
Outcome train(const Job& job, int workers, Launcher launcher = Launcher::kConvoy) {
  LaunchedRun run("bits");
  testing_support::write_text(run.folder() / "text.txt", 40'000);
  testing_support::write_digits(run.folder() / "digits", 600);
  const std::string data = job.recipe.starts_with("mnist") ? "digits" : "text.txt";
  std::vector<std::string> command = {CONVOY_PROGRAM};
  if (launcher == Launcher::kMpirun) {
    command.insert(command.begin(), {"/usr/bin/env", "OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
                                     CONVOY_MPIRUN, "--oversubscribe", "-np", std::to_string(workers)});
  } else if (workers > 0) {
    command.insert(command.end(), {"launch", "-n", std::to_string(workers), "--run", "run", "--"});
  }
  command.insert(command.end(), {"train", fmt::format("{}/recipes/{}", CONVOY_SOURCE_DIR, job.recipe)});
  if (workers == 0 || launcher == Launcher::kMpirun) command.insert(command.end(), {"--run", "run"});
  command.insert(command.end(),
                 {fmt::format("train.steps={}", kSteps), fmt::format("data.path={}", data), "train.eval_every=10"});
  command.insert(command.end(), job.overrides.begin(), job.overrides.end());
  run.start(command);
  const auto exit = run.wait_exit(std::chrono::seconds(120));
  EXPECT_TRUE(exit && exit->success()) << run.output() << run.errors();
  if (!exit || !exit->success()) return {};
  return outcome_of(run.folder() / "run");
}

Outcome expect_same_bits(const Job& job, const Outcome& reference, int workers, Launcher launcher = Launcher::kConvoy) {
  Outcome outcome = train(job, workers, launcher);
  EXPECT_EQ(outcome.loss_bits, reference.loss_bits);
  EXPECT_EQ(outcome.parameters_hash, reference.parameters_hash);
  EXPECT_EQ(outcome.state_hash, reference.state_hash);
  EXPECT_EQ(outcome.eval_loss, reference.eval_loss);
  EXPECT_EQ(outcome.world, std::max(workers, 1));
  return outcome;
}

class SameBitsTest : public ::testing::TestWithParam<std::string> {};

// Logical shards: 8, so that three workers own uneven blocks (3, 3, 2).
TEST_P(SameBitsTest, AnyNumberOfWorkersAndBuckets) {
  const std::string one_bucket = "sync.bucket_mib=1024";
  const std::string many_buckets = "sync.bucket_mib=0.05";
  const std::string one_group = "optimizer.weight_decay=0";
  const Outcome reference = train({GetParam(), {one_group, one_bucket}}, 0);
  ASSERT_EQ(reference.loss_bits.size(), kSteps);
  EXPECT_EQ(std::set(reference.loss_bits.begin(), reference.loss_bits.end()).size(), kSteps) << "nothing was learnt";
  for (const int workers : {1, 2, 3, 4}) {
    for (const std::string& buckets : {one_bucket, many_buckets}) {
      SCOPED_TRACE(fmt::format("{} workers, {}", workers, buckets));
      const Outcome outcome = expect_same_bits({GetParam(), {one_group, buckets}}, reference, workers);
      if (buckets == one_bucket) {
        EXPECT_EQ(outcome.buckets, 1);
      } else {
        EXPECT_GE(outcome.buckets, 3);
      }
    }
  }
}

// Two parameter groups, dropout, and the default bucket size.
TEST_P(SameBitsTest, WithWeightDecayAndDropout) {
  const Job job{GetParam(), {"optimizer.weight_decay=0.1", "model.dropout=0.1"}};
  const Outcome reference = train(job, 0);
  for (const int workers : {2, 3}) {
    SCOPED_TRACE(fmt::format("{} workers", workers));
    expect_same_bits(job, reference, workers);
  }
}

TEST_P(SameBitsTest, UnderMpirunWithEveryEngine) {
  if (std::string(CONVOY_MPIRUN).empty()) GTEST_SKIP() << "there is no MPI here";
  const std::string buckets = "sync.bucket_mib=0.05";
  const Outcome reference = train({GetParam(), {buckets}}, 0);
  for (const int workers : {2, 3}) {
    for (const std::string engine : {"sync.engine=local", "sync.engine=mpi"}) {
      SCOPED_TRACE(fmt::format("{} workers, {}", workers, engine));
      expect_same_bits({GetParam(), {buckets, engine}}, reference, workers, Launcher::kMpirun);
    }
  }
}

TEST_P(SameBitsTest, AnotherSeedGivesOtherBits) {
  const Outcome reference = train({GetParam(), {}}, 1);
  const Outcome other = train({GetParam(), {"train.seed=4242"}}, 1);
  EXPECT_NE(other.loss_bits, reference.loss_bits);
  EXPECT_NE(other.parameters_hash, reference.parameters_hash);
}

// Every shard normalises its own pictures; the running statistics are a bucket more.
TEST(SameBitsResNetTest, AnyNumberOfWorkers) {
  const Job job{"mnist-resnet.toml", {"model.width=4", "train.global_batch=32", "train.logical_shards=8"}};
  const Outcome reference = train(job, 0);
  ASSERT_EQ(reference.loss_bits.size(), kSteps);
  for (const int workers : {1, 2, 3, 4}) {
    SCOPED_TRACE(fmt::format("{} workers", workers));
    const Outcome outcome = expect_same_bits(job, reference, workers);
    EXPECT_GE(outcome.buckets, 3);
  }
  expect_same_bits(
      {job.recipe, {"model.width=4", "train.global_batch=32", "train.logical_shards=8", "train.threads=2"}}, reference,
      2);
}

// Pictures that are turned, scaled and moved at random look the same whoever reads them, ahead or when needed.
TEST(SameBitsOfPicturesTest, AugmentedAndReadAhead) {
  const std::string augment = "data.augment=affine";
  const Outcome reference = train({"mnist-mlp.toml", {augment}}, 1);
  ASSERT_EQ(reference.loss_bits.size(), kSteps);
  for (const int workers : {1, 3}) {
    SCOPED_TRACE(fmt::format("{} workers", workers));
    expect_same_bits({"mnist-mlp.toml", {augment, "data.threads=2", "data.prefetch=3"}}, reference, workers);
  }
  EXPECT_NE(train({"mnist-mlp.toml", {}}, 1).loss_bits, reference.loss_bits);
}

INSTANTIATE_TEST_SUITE_P(Recipes, SameBitsTest, ::testing::Values("mnist-mlp.toml", "gpt-tiny.toml", "llama-tiny.toml"),
                         [](const auto& recipe) {
                           return recipe.param.starts_with("mnist") ? "Mlp"
                                  : recipe.param.starts_with("gpt") ? "Gpt"
                                                                    : "Llama";
                         });

}  // namespace
}  // namespace convoy
