// What a replay does not do: ask for memory, or make primitives. All that is there once a plan ran for the first time.
#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

#include "core/graph/recorder.h"
#include "core/ops/matmul.h"
#include "tests/support/counters/counters.h"
#include "tests/worker/small_run.h"

namespace convoy::worker {
namespace {

using testing_support::Counts;

struct Case {
  std::string model;
  std::string precision;
  std::string optimizer;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.model << " " << c.precision; }

class ReplayTest : public testing::TestWithParam<Case> {};

void set(SmallRun& run, const Case& c) {
  run.recipe.train.graph = "static";
  run.recipe.train.precision = c.precision;
  run.recipe.optimizer.kind = c.optimizer;
  run.recipe.optimizer.weight_decay = 0.1;
  if (c.model == "resnet") {
    run.recipe.model = {};
    run.recipe.model.kind = c.model;
    run.recipe.model.layers = 18;
    run.recipe.model.width = 16;  // the last convolutions go tap by tap
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

Tensors inputs_of(const PlannedFunction& planned, const Batch& batch, Device& device) {
  if (planned.name == "gradient") return {batch.inputs, batch.targets};
  Tensors inputs;
  for (const Spec& spec : planned.inputs) {
    inputs.push_back(
        Tensor::of<double>(device, spec.shape, std::vector<double>(static_cast<std::size_t>(spec.elements()), 0.5)));
  }
  return inputs;
}

// The largest block that oneDNN asks for: in most calls to keep arguments in; its gemm, which some taps of convolutions
// run as, packs operands into more.
constexpr std::uint64_t kArguments = 1024, kPackedOperands = 128 << 10;

// One replay, of a plan whose first run was before: what oneDNN asked for.
std::uint64_t check_replay(Plan& plan, const StepKey& key, const Tensors& inputs, const CpuDevice& device,
                           std::uint64_t largest) {
  const Plan::OnResult on_result = [](std::size_t, const Tensor&) {};
  const auto held = device.pool_statistics();
  testing_support::start_counting();
  plan.run(key, inputs, on_result);
  const Counts counts = testing_support::stop_counting();
  EXPECT_EQ(counts.own, 0U) << counts.who;
  EXPECT_EQ(counts.primitives, 0U);
  EXPECT_EQ(device.pool_statistics().system_requests, held.system_requests);
  EXPECT_EQ(device.pool_statistics().bytes_in_use, held.bytes_in_use);
  // oneDNN keeps a call's arguments in a table of its own: a few small blocks a call, given back at once. Where it
  // emulates bf16 it works in more.
  if (!device.native_bf16() || CpuDevice().native_bf16()) {
    EXPECT_LE(counts.largest, largest);
  }
  return counts.onednn;
}

void check_replays(SmallRun& run, std::uint64_t largest) {
  const auto replica = run.replica();
  const Batches batches = run.batches();
  const Tensor reduced = Tensor::zeros({DType::kF32, {replica->layout().elements()}, run.device.get()});
  replica->capture_step(batches.specs(), reduced.data<float>());
  const Batch batch = batches.training(1, 0);
  ASSERT_GE(replica->plans().size(), 3U);
  for (const PlannedFunction& planned : replica->plans()) {
    SCOPED_TRACE(planned.name);
    auto& plan = const_cast<Plan&>(planned.plan);  // the replica's own, which it runs itself otherwise
    const Tensors inputs = inputs_of(planned, batch, *run.device);
    plan.run({.seed = 1, .step = 1, .shard = 0}, inputs, [](std::size_t, const Tensor&) {});
    const std::uint64_t onednn = check_replay(plan, {.seed = 1, .step = 2, .shard = 0}, inputs, *run.device, largest);
    EXPECT_EQ(check_replay(plan, {.seed = 1, .step = 3, .shard = 0}, inputs, *run.device, largest), onednn);
  }
}

TEST_P(ReplayTest, AsksForNoMemoryAndMakesNoPrimitive) {
  for (const int threads : {1, 2}) {
    for (const bool native : {false, true}) {
      if (native && GetParam().precision == "fp32") continue;
      SCOPED_TRACE(testing::Message() << threads << " threads, " << (native ? "native" : "own") << " bf16");
      SmallRun run(GetParam().model == "gpt" || GetParam().model == "llama" ? "text" : "mnist");
      set(run, GetParam());
      run.device = std::make_unique<CpuDevice>(threads);
      run.device->set_native_bf16(native);
      check_replays(run, GetParam().model == "resnet" ? kPackedOperands : kArguments);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, ReplayTest,
                         testing::Values(Case{"mlp", "fp32", "adamw"}, Case{"mlp", "bf16", "lamb"},
                                         Case{"gpt", "fp32", "lamb"}, Case{"gpt", "bf16", "adamw"},
                                         Case{"llama", "fp32", "adamw"}, Case{"llama", "bf16", "sgd"},
                                         Case{"resnet", "fp32", "sgd"}, Case{"resnet", "bf16", "adamw"}),
                         [](const auto& test) { return test.param.model + "_" + test.param.precision; });

// The counters count.
TEST(CountersTest, SeeBlocksAndPrimitives) {
  CpuDevice device;
  const Tensor a = Tensor::zeros({DType::kF32, {8, 8}, &device});
  testing_support::start_counting();
  {
    const Recorder recorder(device, {}, Recorder::Tape::kOff);
    matmul(a, a);
  }
  const Counts counts = testing_support::stop_counting();
  EXPECT_GT(counts.own, 0U);
  EXPECT_GT(counts.onednn, 0U);
  EXPECT_GT(counts.primitives, 0U);
}

}  // namespace
}  // namespace convoy::worker
