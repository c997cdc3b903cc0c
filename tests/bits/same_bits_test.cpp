// Trains the project's own recipes with different numbers of workers and bucket sizes, and compares every bit.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "tests/bits/bits_run.h"

namespace convoy {
namespace {

Outcome expect_same_bits_of(const Job& job, const Outcome& reference, const Workers& workers) {
  SCOPED_TRACE(to_string(workers));
  Outcome outcome = train(job, workers);
  expect_same_bits(outcome, reference);
  EXPECT_EQ(outcome.world, std::max(workers.count, 1));
  return outcome;
}

void expect_learnt(const Outcome& outcome) {
  ASSERT_EQ(outcome.loss_bits.size(), static_cast<std::size_t>(kSteps));
  EXPECT_EQ(std::set(outcome.loss_bits.begin(), outcome.loss_bits.end()).size(), outcome.loss_bits.size())
      << "nothing was learnt";
}

struct Recipe {
  std::string name;
  std::string file;
  std::string precision;
};
void PrintTo(const Recipe& recipe, std::ostream* out) { *out << recipe.name; }

std::vector<Recipe> all_recipes() {
  std::vector<Recipe> recipes;
  for (const std::string& precision : kPrecisions) {
    recipes.push_back({"Mlp_" + precision, "mnist-mlp.toml", precision});
    recipes.push_back({"Gpt_" + precision, "gpt-tiny.toml", precision});
    recipes.push_back({"Llama_" + precision, "llama-tiny.toml", precision});
  }
  return recipes;
}

class SameBitsTest : public ::testing::TestWithParam<Recipe> {
 protected:
  static Job job(const std::vector<std::string>& overrides = {}) {
    return {.recipe = GetParam().file, .overrides = overrides, .precision = GetParam().precision};
  }
};
INSTANTIATE_TEST_SUITE_P(Recipes, SameBitsTest, ::testing::ValuesIn(all_recipes()),
                         [](const auto& recipe) { return recipe.param.name; });

// Logical shards: 8, so that three workers own uneven blocks (3, 3, 2).
TEST_P(SameBitsTest, AnyNumberOfWorkersAndBuckets) {
  const std::string one_bucket = "sync.bucket_mib=1024";
  const std::string many_buckets = "sync.bucket_mib=0.05";
  const std::string one_group = "optimizer.weight_decay=0";
  const auto buckets_of = [](const BitsRun& run) {
    int buckets = 0;
    for (const auto& event : run.records("events")) {
      if (event.at("kind") != "training_started") continue;
      const std::string detail = event.at("detail");  // "gpt with 468480 parameters in 3 buckets; …"
      std::sscanf(detail.c_str(), "%*s with %*d parameters in %d buckets", &buckets);
    }
    return buckets;
  };
  const Outcome reference = train(job({one_group, one_bucket}), {.count = 0});
  expect_learnt(reference);
  for (const int workers : {1, 2, 3, 4}) {
    for (const std::string& buckets : {one_bucket, many_buckets}) {
      SCOPED_TRACE(fmt::format("{} workers, {}", workers, buckets));
      BitsRun run;
      run.train(job({one_group, buckets}), {.count = workers});
      expect_same_bits(run.outcome(), reference);
      EXPECT_EQ(run.outcome().world, workers);
      if (buckets == one_bucket) {
        EXPECT_EQ(buckets_of(run), 1);
      } else {
        EXPECT_GE(buckets_of(run), 3);
      }
    }
  }
}

// Two parameter groups, dropout, and the default bucket size.
TEST_P(SameBitsTest, WithWeightDecayAndDropout) {
  const Job regularised = job({"optimizer.weight_decay=0.1", "model.dropout=0.1"});
  const Outcome reference = train(regularised, {.count = 0});
  for (const int workers : {2, 3}) {
    for (const std::string engine : {"local", "gloo"})
      expect_same_bits_of(regularised, reference, {.count = workers, .start = {}, .engine = engine});
  }
}

TEST_P(SameBitsTest, AnotherSeedGivesOtherBits) {
  const Outcome reference = train(job(), {.count = 1});
  const Outcome other = train(job({"train.seed=4242"}), {.count = 1});
  EXPECT_NE(other.loss_bits, reference.loss_bits);
  EXPECT_NE(other.parameters_hash, reference.parameters_hash);
}

class SameBitsResNetTest : public ::testing::TestWithParam<std::string> {
 protected:
  static Job job(const std::vector<std::string>& more = {}) {
    std::vector<std::string> overrides = {"model.width=4", "train.global_batch=32", "train.logical_shards=8"};
    overrides.insert(overrides.end(), more.begin(), more.end());
    return {.recipe = "mnist-resnet.toml", .overrides = overrides, .precision = GetParam()};
  }
};
INSTANTIATE_TEST_SUITE_P(Precisions, SameBitsResNetTest, ::testing::ValuesIn(kPrecisions),
                         [](const auto& precision) { return precision.param; });

// Every shard normalises its own pictures; the running statistics are a bucket more.
TEST_P(SameBitsResNetTest, AnyNumberOfWorkersAndThreads) {
  const Outcome reference = train(job(), {.count = 0});
  expect_learnt(reference);
  for (const int workers : {1, 2, 3, 4}) expect_same_bits_of(job(), reference, {.count = workers});
  expect_same_bits_of(job({"train.threads=2"}), reference, {.count = 2});
}

struct MpirunCase {
  std::string name;
  Job job;
  std::vector<Workers> workers;
};
void PrintTo(const MpirunCase& test, std::ostream* out) { *out << test.name; }

// Engine mpi with residual networks and GPT-2's form: resume_bits_test.cpp has all numbers of workers.
std::vector<MpirunCase> mpirun_cases() {
  const std::vector<Workers> three = {under_mpirun(3, "local"), under_mpirun(3, "mpi")};
  const std::vector<Workers> any = {under_mpirun(1, "local"), under_mpirun(2, "local"), under_mpirun(3, "local"),
                                    under_mpirun(4, "local"), under_mpirun(3, "mpi"),   under_mpirun(3, "gloo")};
  const std::string buckets = "sync.bucket_mib=0.05";
  std::vector<MpirunCase> cases;
  for (const std::string& precision : kPrecisions) {
    const auto add = [&](const std::string& name, const std::string& recipe, const std::vector<std::string>& overrides,
                         const std::vector<Workers>& workers) {
      cases.push_back({fmt::format("{}_{}", name, precision), {recipe, overrides, precision}, workers});
    };
    add("Mlp", "mnist-mlp.toml", {buckets}, three);
    add("Gpt", "gpt-tiny.toml", {buckets, "train.global_batch=8"}, any);
    add("Llama", "llama-tiny.toml", {buckets, "train.global_batch=8"}, three);
    add("ResNet", "mnist-resnet.toml", {buckets, "model.width=4", "train.global_batch=32", "train.logical_shards=8"},
        any);
  }
  return cases;
}

class SameBitsUnderMpirunTest : public ::testing::TestWithParam<MpirunCase> {};
INSTANTIATE_TEST_SUITE_P(Recipes, SameBitsUnderMpirunTest, ::testing::ValuesIn(mpirun_cases()),
                         [](const auto& test) { return test.param.name; });

TEST_P(SameBitsUnderMpirunTest, AnyNumberOfWorkers) {
  if (!has_mpirun()) GTEST_SKIP() << "there is no MPI here";
  const Outcome reference = train(GetParam().job, {.count = 0});
  expect_learnt(reference);
  for (const Workers& workers : GetParam().workers) expect_same_bits_of(GetParam().job, reference, workers);
}

// Pictures that are turned, scaled and moved at random look the same whoever reads them, ahead or when needed.
TEST(SameBitsOfPicturesTest, AugmentedAndReadAhead) {
  const std::string augment = "data.augment=affine";
  const Outcome reference = train({"mnist-mlp.toml", {augment}}, {.count = 1});
  ASSERT_EQ(reference.loss_bits.size(), static_cast<std::size_t>(kSteps));
  for (const int workers : {1, 3}) {
    expect_same_bits_of({"mnist-mlp.toml", {augment, "data.threads=2", "data.prefetch=3"}}, reference,
                        {.count = workers});
  }
  EXPECT_NE(train({"mnist-mlp.toml"}, {.count = 1}).loss_bits, reference.loss_bits);
}

}  // namespace
}  // namespace convoy
