// Plans on a device that is not the CPU: the fake one, from its module.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/device/fake/fake_device.h"
#include "core/graph/backward.h"
#include "core/graph/capture.h"
#include "core/graph/device_module.h"
#include "core/graph/passes/pass.h"
#include "core/graph/plan.h"
#include "core/graph/plan_launches.h"
#include "core/nn/mlp.h"
#include "core/ops/elementwise.h"

namespace convoy {
namespace {

constexpr StepKey kKey{.seed = 4, .step = 3, .shard = 1};
constexpr std::int64_t kSamples = 6, kInputs = 5, kClasses = 3;

std::unique_ptr<Device> load_fake(std::uint64_t seed = 1) {
  const std::string path = std::string(CONVOY_MODULES) + "/" + device_module_name("fake");
  return load_device("fake", std::span(&path, 1), {.ordinal = 0, .seed = seed});
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// A training step of a small network with dropout, captured on a device.
class Step {
 public:
  explicit Step(Device& device) : device_(device) {
    model_ = std::make_unique<Mlp>(MlpOptions{
        .inputs = kInputs, .hidden = {8, 7}, .classes = kClasses, .activation = Activation::kGelu, .dropout = 0.25});
    for (const Parameter& parameter : model_->parameters()) {
      parameter.bind(Tensor::zeros({DType::kF32, parameter.shape(), &device}));
      parameter.initialize(9);
      states_.push_back(parameter.value());
    }
    Capture capture(device);
    for (const Parameter& parameter : model_->parameters()) capture.state(parameter.name(), parameter.value());
    const Tensor x = capture.input("inputs", {DType::kF32, {kSamples, kInputs}, &device});
    const Tensor y = capture.input("targets", {DType::kI32, {kSamples}, &device});
    const Loss loss = model_->training_step(x, y);
    capture.result("loss", loss.sum);
    backward(loss.sum, states_, [&](std::size_t, const Tensor& gradient) { capture.result("gradient", gradient); });
    graph_ = std::make_unique<Graph>(capture.finish());
    for (int i = 0; i < kSamples * kInputs; ++i) numbers_.push_back(static_cast<float>(i % 7) / 3.0F - 1.0F);
    inputs_ = {Tensor::of<float>(device, {kSamples, kInputs}, numbers_),
               Tensor::of<std::int32_t>(device, {kSamples}, std::vector<std::int32_t>{0, 2, 1, 1, 0, 2})};
  }

  void optimise(const PassList& passes) {
    graph_ = std::make_unique<Graph>(convoy::optimise(std::move(*graph_), passes));
  }

  const Graph& graph() const { return *graph_; }
  const Tensors& states() const { return states_; }
  const Tensors& inputs() const { return inputs_; }
  Device& device() const { return device_; }

 private:
  Device& device_;
  std::unique_ptr<Mlp> model_;
  Tensors states_, inputs_;
  std::unique_ptr<Graph> graph_;
  std::vector<float> numbers_;
};

std::vector<double> elements(const Tensor& tensor) {
  if (tensor.dtype() == DType::kF64) return tensor.to_vector<double>();
  const std::vector<float> values = tensor.to_vector<float>();
  return {values.begin(), values.end()};
}

std::vector<std::vector<double>> results_on_the_cpu(bool poison) {
  CpuDevice cpu;
  const Step step(cpu);
  Plan plan(step.graph(), step.states(), {.poison = poison});
  std::vector<std::vector<double>> results(step.graph().results().size());
  plan.run(kKey, step.inputs(), [&](std::size_t i, const Tensor& value) { results[i] = elements(value); });
  return results;
}

// Takes a plan's results as communication does: by another stream, into memory of its own.
struct Taking {
  bool waits = true;  // for the launch that makes a result
  bool holds = true;  // it until it is read
};

Tensors take_results(const Step& step, Plan& plan, const Taking& taking, int replays) {
  Streams& streams = *streams_of(step.device());
  Tensors taken(step.graph().results().size());
  for (int replay = 0; replay < replays; ++replay) {
    plan.run(kKey, step.inputs(), [&](std::size_t i, const Tensor& value) {
      if (!taken[i].defined()) taken[i] = Tensor::empty(value.spec());
      if (taking.waits) streams.wait(Stream::kCommunication, streams.record(Stream::kCompute));
      const MemoryRange reads[] = {range_of(value)}, writes[] = {range_of(taken[i])};
      streams.launch(Stream::kCommunication,
                     {"take", reads, writes, [value, to = taken[i]] { copy_elements(value, to); }});
      if (taking.holds) plan.hold(i, streams.record(Stream::kCommunication));
    });
  }
  return taken;
}

TEST(DeviceModuleTest, AMissingModuleIsOneLineThatSaysWhereItWasLookedFor) {
  const std::vector<std::string> paths{"/nowhere/libconvoy_fake.so", "/else/libconvoy_fake.so"};
  const std::string message = message_of([&] { load_device("fake", paths); });
  EXPECT_EQ(message.find('\n'), std::string::npos);
  EXPECT_TRUE(
      message.starts_with("a \"fake\" device needs libconvoy_fake.so, which was looked for: "
                          "/nowhere/libconvoy_fake.so: cannot open shared object file"))
      << message;
  EXPECT_NE(message.find("; /else/libconvoy_fake.so: cannot open"), std::string::npos) << message;
}

TEST(DeviceModuleTest, AnotherLibraryIsNoModule) {
  const std::string path = "libz.so.1";
  EXPECT_EQ(message_of([&] { load_device("fake", std::span(&path, 1)); }),
            "libz.so.1: not the module of \"fake\" devices of this build of Convoy");
}

TEST(DeviceModuleTest, AnOperatorWithoutAKernelIsRefusedByName) {
  const auto device = load_fake();
  kernels_of(*device) = {};
  const Step step(*device);
  EXPECT_EQ(message_of([&] { Plan(step.graph(), step.states()); }), "linear has no kernel on a fake device");
}

TEST(DeviceModuleTest, OperatorsDoNotRunOneByOne) {
  const auto device = load_fake();
  const Tensor x = Tensor::zeros({DType::kF32, {4}, device.get()});
  const Recorder recorder(*device, kKey);
  EXPECT_EQ(message_of([&] { relu(x); }),
            "relu: a fake device runs plans of captured operators, not one operator at a time");
}

TEST(PlanOnStreamsTest, AReplayHasTheBitsOfTheCpu) {
  for (const bool poison : {false, true}) {
    const auto expected = results_on_the_cpu(poison);
    ASSERT_EQ(expected.size(), 7U);
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
      const auto device = load_fake(seed);
      const Step step(*device);
      Plan plan(step.graph(), step.states(), {.poison = poison});
      const Tensors taken = take_results(step, plan, {}, 3);
      device->synchronize();
      for (std::size_t i = 0; i < taken.size(); ++i)
        EXPECT_EQ(elements(taken[i]), expected[i]) << i << ", seed " << seed;
    }
  }
}

TEST(PlanOnStreamsTest, AnOptimisedGraphHasThemToo) {
  const auto expected = results_on_the_cpu(false);
  for (const bool recompute : {false, true}) {
    PassList passes = PassList::defaults();
    if (recompute) passes.add(kRecompute);
    const auto device = load_fake(5);
    Step step(*device);
    step.optimise(passes);
    Plan plan(step.graph(), step.states());
    const Tensors taken = take_results(step, plan, {}, 2);
    device->synchronize();
    for (std::size_t i = 0; i < taken.size(); ++i) EXPECT_EQ(elements(taken[i]), expected[i]) << i;
  }
}

TEST(PlanOnStreamsTest, AMissingWaitIsCaught) {
  const auto device = load_fake();
  const Step step(*device);
  Plan plan(step.graph(), step.states());
  const Tensors taken = take_results(step, plan, {.waits = false}, 1);
  const std::string message = message_of([&] { device->synchronize(); });
  EXPECT_NE(message.find("take on communication reads bytes of block"), std::string::npos) << message;
  EXPECT_NE(message.find("on compute writes, and no event orders the two"), std::string::npos) << message;
}

TEST(PlanOnStreamsTest, AResultThatIsNotHeldIsOverwrittenTooEarly) {
  const auto device = load_fake();
  const Step step(*device);
  Plan plan(step.graph(), step.states());
  const Tensors taken = take_results(step, plan, {.holds = false}, 2);
  const std::string message = message_of([&] { device->synchronize(); });
  EXPECT_NE(message.find("that take on communication reads, and no event orders the two"), std::string::npos)
      << message;
}

TEST(PlanOnStreamsTest, PlansThatShareMemoryWaitForEachOthersReaders) {
  const auto device = load_fake();
  const Step step(*device);
  Plan first(step.graph(), step.states());
  Plan second(step.graph(), step.states(), {.arena = first.arena()});
  const Tensors taken = take_results(step, first, {}, 1);
  const Tensors again = take_results(step, second, {}, 1);
  device->synchronize();
  for (std::size_t i = 0; i < taken.size(); ++i) EXPECT_EQ(elements(taken[i]), elements(again[i]));
}

TEST(PlanOnStreamsTest, MemoryThatGoesWhileItIsUsedIsCaught) {
  const auto device = load_fake();
  const Step step(*device);
  Plan plan(step.graph(), step.states());
  Streams& streams = *streams_of(*device);
  Tensor sink = Tensor::zeros({DType::kF64, {}, device.get()});
  const MemoryRange writes[] = {range_of(sink)};
  streams.launch(Stream::kCommunication, {"take", {}, writes, [] {}});
  sink = {};
  const std::string message = message_of([&] { device->synchronize(); });
  EXPECT_NE(message.find("is released while take on communication may still use it"), std::string::npos) << message;
}

TEST(PlanOnStreamsTest, EveryCallIsLaunchedOnTheComputeStream) {
  const auto device = load_fake();
  const Step step(*device);
  Plan plan(step.graph(), step.states());
  plan.run(kKey, step.inputs(), [](std::size_t, const Tensor&) {});
  device->synchronize();
  std::size_t launches = 0;
  for (const std::string& line : static_cast<FakeDevice&>(*device).log())
    launches += line.find("on compute: reads") != std::string::npos;
  EXPECT_EQ(launches, plan.calls().size() + step.inputs().size());
  EXPECT_THROW(plan.hold(99, {}), Error);
}

}  // namespace
}  // namespace convoy
