// The same C++ training step, run line by line and captured: every model's graph has the bits of its dynamic step.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/graph/backward.h"
#include "core/graph/capture.h"
#include "core/graph/interpreter.h"
#include "core/graph/passes/pass.h"
#include "core/graph/plan.h"
#include "core/ops/elementwise.h"
#include "tests/worker/small_run.h"

namespace convoy::worker {
namespace {

struct Step {
  std::string model;
  std::string precision;
};

std::ostream& operator<<(std::ostream& out, const Step& step) { return out << step.model << "_" << step.precision; }

class CapturedStepTest : public testing::TestWithParam<Step> {};

// Runs or captures a step, and tells of every value that it hands out.
template <typename Note>
void training_step(const Replica& replica, const Tensor& inputs, const Tensor& targets, const Note& note) {
  const Loss loss = replica.model().training_step(inputs, targets);
  note("loss", loss.sum);
  note("count", loss.count);
  for (const Emission& emission : Recorder::current().emissions()) note("emission", emission.contribution);
  Tensors leaves;
  for (const Parameter& parameter : replica.model().parameters()) {
    if (parameter.group() != ParameterGroup::kStatistics) leaves.push_back(parameter.value());
  }
  backward(loss.sum, leaves, [&](std::size_t, const Tensor& gradient) { note("gradient", gradient); });
}

std::vector<double> elements(const Tensor& tensor) {
  if (tensor.dtype() == DType::kF64) return tensor.to_vector<double>();
  const std::vector<float> values = tensor.to_vector<float>();
  return {values.begin(), values.end()};
}

// A model's step: its graph, what it is run with, and what it comes to line by line.
struct CapturedStep {
  explicit CapturedStep(const Step& step)
      : run(step.model == "gpt" ? "text" : "mnist"), key{.seed = 4, .step = 3, .shard = 1}, graph(*run.device) {
    run.recipe.train.precision = step.precision;
    run.recipe.model.dropout = 0.1;
    if (step.model == "resnet") {
      run.recipe.model = {};
      run.recipe.model.kind = step.model;
      run.recipe.model.layers = 18;
      run.recipe.model.width = 4;
    }
    replica = run.replica();
    const Batch batch = run.batches().training(3, 1);
    {
      const Recorder recorder(*run.device, key);
      inputs = {replica->inputs_of(batch.inputs), batch.targets};
      training_step(*replica, inputs[0], inputs[1],
                    [&](const std::string&, const Tensor& value) { expected.push_back(elements(value)); });
    }
    Capture capture(*run.device);
    for (const Parameter& parameter : replica->model().parameters()) {
      states.push_back(parameter.value());
      capture.state(parameter.name(), parameter.value());
    }
    const Tensor x = capture.input("inputs", inputs[0].spec());
    const Tensor y = capture.input("targets", inputs[1].spec());
    training_step(*replica, x, y, [&](const std::string& name, const Tensor& value) { capture.result(name, value); });
    graph = capture.finish();
  }

  SmallRun run;
  StepKey key;
  std::unique_ptr<Replica> replica;
  Tensors inputs, states;
  std::vector<std::vector<double>> expected;
  Graph graph;
};

TEST_P(CapturedStepTest, HasTheBitsOfTheDynamicOne) {
  const CapturedStep step(GetParam());
  const Tensors actual = interpret(step.graph, step.key, step.inputs, step.states);
  ASSERT_EQ(actual.size(), step.expected.size());
  ASSERT_GT(actual.size(), 4U);
  for (std::size_t i = 0; i < actual.size(); ++i)
    EXPECT_EQ(elements(actual[i]), step.expected[i]) << step.graph.results()[i].name << " " << i;

  for (const bool in_place : {true, false}) {
    Plan plan(step.graph, step.states, {.in_place = in_place, .poison = true});
    EXPECT_EQ(find_overlap(plan.buffers(), plan.memory()), "");
    EXPECT_LE(static_cast<double>(plan.memory().bytes), 1.05 * static_cast<double>(plan.memory().lower_bound));
    for (int replay = 0; replay < 2; ++replay) {
      std::size_t handed_out = 0;
      plan.run(step.key, step.inputs, [&](std::size_t i, const Tensor& value) {
        ++handed_out;
        EXPECT_EQ(elements(value), step.expected[i])
            << step.graph.results()[i].name << " " << i << ", replay " << replay;
      });
      EXPECT_EQ(handed_out, step.expected.size());
    }
  }
}

TEST_P(CapturedStepTest, HasItsBitsUnderEveryPass) {
  const CapturedStep step(GetParam());
  std::vector<PassList> lists = {PassList::none(), PassList::defaults(), parse_passes("all,recompute")};
  for (const Pass& pass : all_passes()) {
    lists.push_back(PassList::none());
    lists.back().add(pass.name);
  }
  for (const PassList& passes : lists) {
    const Graph graph = optimise(step.graph, passes);
    Plan plan(graph, step.states, {.in_place = passes.contains(kInPlace), .poison = true});
    EXPECT_EQ(find_overlap(plan.buffers(), plan.memory()), "");
    if (!passes.contains(kRecompute)) {  // of a network as small as this, buffers are few and unequal
      EXPECT_LE(static_cast<double>(plan.memory().bytes), 1.05 * static_cast<double>(plan.memory().lower_bound));
    }
    for (int replay = 0; replay < 2; ++replay) {
      plan.run(step.key, step.inputs, [&](std::size_t i, const Tensor& value) {
        EXPECT_EQ(elements(value), step.expected[i])
            << passes.to_string() << ": " << graph.results()[i].name << " " << i;
      });
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, CapturedStepTest,
                         testing::Values(Step{"mlp", "fp32"}, Step{"mlp", "bf16"}, Step{"gpt", "fp32"},
                                         Step{"gpt", "bf16"}, Step{"resnet", "fp32"}, Step{"resnet", "bf16"}),
                         [](const auto& step) { return step.param.model + "_" + step.param.precision; });

}  // namespace
}  // namespace convoy::worker
