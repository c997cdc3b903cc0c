// Steps that are captured once and replayed against steps that run line by line: every bit of losses, state and
// evaluations.
#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "core/nn/layers.h"
#include "core/ops/elementwise.h"
#include "core/ops/view.h"
#include "distributed/gradient_reducer.h"
#include "distributed/solo.h"
#include "tests/worker/small_run.h"
#include "worker/evaluation.h"

namespace convoy::worker {
namespace {

constexpr std::int64_t kSteps = 6;

struct Case {
  std::string model;
  std::string precision;
  std::string optimizer = "adamw";
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.model; }

void set(SmallRun& run, const Case& c) {
  run.recipe.train.precision = c.precision;
  run.recipe.optimizer.kind = c.optimizer;
  run.recipe.optimizer.weight_decay = 0.1;
  run.recipe.sync.bucket_mib = 0.01;
  if (c.model == "resnet") {
    run.recipe.model = {};
    run.recipe.model.kind = c.model;
    run.recipe.model.layers = 18;
    run.recipe.model.width = 4;
    return;
  }
  run.recipe.model.dropout = 0.1;
  if (c.model == "llama") {
    run.recipe.model.norm = "rms";
    run.recipe.model.activation = "swiglu";
    run.recipe.model.positions = "rotary";
    run.recipe.model.head = "own";
    run.recipe.model.bias = false;
  }
}

struct Outcome {
  std::vector<std::uint64_t> losses;  // bits
  std::vector<std::uint64_t> norms;
  std::string state;
  double eval_loss = 0.0;
  bool operator==(const Outcome&) const = default;
};

// Trains all shards by itself; the third step is skipped, as one without finite numbers is. `placed`: the first shard's
// gradients are made where they are kept.
Outcome train(const SmallRun& run, Replica& replica, bool placed = false) {
  const auto shards = static_cast<std::int32_t>(run.recipe.train.logical_shards);
  distributed::GradientReducer reducer(replica.layout(), shards);
  const Tensor arena = Tensor::zeros(
      {DType::kF32, {static_cast<std::int64_t>(reducer.arena_bytes() / sizeof(float))}, run.device.get()});
  reducer.use_arena({static_cast<std::byte*>(arena.raw()), reducer.arena_bytes()});
  const Batches batches = run.batches();
  if (placed) replica.place_gradients(batches.specs(), reducer.memory_of_one(true));
  distributed::SoloCommunicator alone;
  Outcome outcome;
  for (std::int64_t step = 1; step <= kSteps; ++step) {
    reducer.begin_step(step, distributed::regular_assignment(shards, 1), 0);
    for (const std::int32_t shard : reducer.missing()) {
      reducer.begin_leaf(shard);
      reducer.end_leaf(replica.gradient(
          {.seed = 5, .step = step, .shard = shard}, batches.training(step, shard),
          [&](std::size_t i, std::span<const float> gradient) { reducer.add(i, gradient); }, reducer.leaf_memory()));
    }
    const distributed::LossSums total = reducer.reduce(alone);
    outcome.losses.push_back(std::bit_cast<std::uint64_t>(total.loss));
    outcome.norms.push_back(
        std::bit_cast<std::uint64_t>(squared_norm(replica.layout(), replica.chunk_squares(reducer.reduced_data()))));
    replica.update(step, reducer.reduced_data(),
                   {.lr = 1e-2 / static_cast<double>(step), .gradient_scale = 1.0 / total.count, .apply = step != 3});
    if (step == kSteps / 2) evaluate(replica, batches, alone);  // shares memory with the step
  }
  outcome.state = replica.state_hash(kSteps);
  outcome.eval_loss = evaluate(replica, batches, alone)->loss;
  return outcome;
}

class StaticStepTest : public testing::TestWithParam<Case> {};

TEST_P(StaticStepTest, HasTheBitsOfTheDynamicOne) {
  const std::string& model = GetParam().model;
  SmallRun run(model == "gpt" || model == "llama" ? "text" : "mnist");
  set(run, GetParam());
  std::optional<Outcome> expected;
  for (const char* mode : {"dynamic", "static", "placed"}) {
    const bool is_dynamic = mode == std::string("dynamic");
    run.recipe.train.graph = is_dynamic ? "dynamic" : "static";
    const auto replica = run.replica();
    const Outcome outcome = train(run, *replica, mode == std::string("placed"));
    EXPECT_EQ(replica->plans().size(), is_dynamic ? 0U : 4U);
    if (expected) {
      EXPECT_EQ(outcome.losses, expected->losses);
      EXPECT_EQ(outcome.norms, expected->norms);
      EXPECT_EQ(outcome.state, expected->state);
      EXPECT_EQ(outcome.eval_loss, expected->eval_loss);
    }
    expected = outcome;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, StaticStepTest,
                         testing::Values(Case{"mlp", "fp32"}, Case{"mlp", "bf16", "lamb"}, Case{"gpt", "fp32", "lamb"},
                                         Case{"gpt", "bf16"}, Case{"llama", "fp32"}, Case{"llama", "bf16", "sgd"},
                                         Case{"resnet", "fp32", "sgd"}, Case{"resnet", "bf16"}),
                         [](const auto& test) { return test.param.model + "_" + test.param.precision; });

// A weight that is used twice, one that is used once, and one that is not used at all.
class OddModel final : public Model {
 public:
  explicit OddModel(const TaskSpec& task)
      : tied_(ParameterScope(parameters_, "tied"), task.shape.elements(), task.shape.elements(), 0.02),
        idle_(ParameterScope(parameters_, "idle"), 3, 2, 0.5),
        head_(ParameterScope(parameters_, "head"), task.shape.elements(), task.classes, 0.05) {}
  Tensor logits(const Tensor& inputs, Mode) const override {
    const Tensor flat = reshape(inputs, {inputs.shape()[0], -1});
    return head_(tied_(tied_(flat)));
  }

 private:
  Linear tied_, idle_, head_;
};

TEST(StaticStepOfOddModelsTest, TiedAndIdleParametersHaveTheirGradients) {
  for (const char* precision : {"fp32", "bf16"}) {
    SmallRun run("mnist");
    run.recipe.train.precision = precision;
    run.recipe.optimizer.weight_decay = 0.1;  // moves what has no gradient
    std::optional<Outcome> expected;
    for (const char* graph : {"dynamic", "static"}) {
      run.recipe.train.graph = graph;
      Replica replica(run.recipe, std::make_unique<OddModel>(task_of(*run.dataset, run.recipe)), *run.device);
      const Outcome outcome = train(run, replica);
      EXPECT_EQ(outcome, expected.value_or(outcome)) << precision;
      expected = outcome;
    }
  }
}

// What is compared before the first step is what the steps replay.
TEST(StaticStepOfOddModelsTest, IsCapturedBeforeTheFirstStep) {
  SmallRun run("mnist");
  const auto replica = run.replica();
  const Tensor reduced = Tensor::zeros({DType::kF32, {replica->layout().elements()}, run.device.get()});
  replica->capture_step(run.batches().specs(), reduced.data<float>());
  EXPECT_EQ(replica->plans().size(), 3U);
  replica->gradient({}, run.batches().training(1, 0), [](std::size_t, std::span<const float>) {});
  replica->chunk_squares(reduced.data<float>());
  replica->update(1, reduced.data<float>(), {.lr = 1e-3});
  EXPECT_EQ(replica->plans().size(), 3U);
}

// Nobody copies them then.
TEST(StaticStepOfOddModelsTest, GradientsAreMadeInTheArenaTheyAreKeptIn) {
  for (const char* data : {"mnist", "text"}) {
    SmallRun run(data);
    const auto replica = run.replica();
    const Spec spec{DType::kF32, {replica->layout().elements()}, run.device.get()};
    const Tensor arena = Tensor::zeros(spec), other = Tensor::zeros(spec);
    replica->place_gradients(run.batches().specs(), arena.data<float>());
    const auto made_elsewhere = [&](const Tensor& memory, const float* into) {
      std::vector<std::string> names;
      replica->gradient(
          {}, run.batches().training(1, 0),
          [&](std::size_t i, std::span<const float> gradient) {
            if (gradient.data() != memory.data<float>() + replica->layout().offset(i))
              names.push_back(replica->layout().parameters()[i].name);
          },
          into);
      return names;
    };
    const std::size_t all = replica->layout().parameters().size();
    EXPECT_EQ(made_elsewhere(arena, arena.data<float>()), std::vector<std::string>()) << data;
    EXPECT_EQ(made_elsewhere(arena, nullptr).size(), all);
    EXPECT_EQ(made_elsewhere(other, other.data<float>()).size(), all) << "it was not told of that one";
    EXPECT_EQ(other.to_vector<float>(), Tensor::zeros(spec).to_vector<float>());
  }
}

// The captured gradient says what is summed over the workers, and in which bucket.
TEST(StaticStepOfOddModelsTest, GradientsAreCommunicationByBucket) {
  SmallRun run("text");
  run.recipe.sync.bucket_mib = 0.01;
  const auto replica = run.replica();
  const Tensor reduced = Tensor::zeros({DType::kF32, {replica->layout().elements()}, run.device.get()});
  replica->capture_step(run.batches().specs(), reduced.data<float>());
  std::vector<std::size_t> parts(replica->layout().buckets().size());
  ASSERT_GT(parts.size(), 3U);
  for (const PlannedFunction& planned : replica->plans()) {
    for (const Result& result : planned.captured.graph.results()) {
      if (!result.reduction) continue;
      EXPECT_EQ(planned.name, Replica::kGradient);
      EXPECT_EQ(result.reduction->axis, "data");
      ++parts.at(static_cast<std::size_t>(result.reduction->bucket));
    }
  }
  for (std::size_t i = 0; i < parts.size(); ++i)
    EXPECT_EQ(parts[i], replica->layout().buckets()[i].parameters.size()) << "bucket " << i;
}

}  // namespace
}  // namespace convoy::worker
