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
#include "core/nn/gpt.h"
#include "core/nn/mlp.h"
#include "core/nn/resnet.h"
#include "core/ops/elementwise.h"

namespace convoy {
namespace {

constexpr StepKey kKey{.seed = 4, .step = 3, .shard = 1};
constexpr std::int64_t kClasses = 7;

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

// A small model and the inputs of its shard.
struct Training {
  std::string name = "mlp";
  DType activations = DType::kF32;

  std::unique_ptr<Model> model() const {
    if (name == "mlp")
      return std::make_unique<Mlp>(MlpOptions{
          .inputs = 5, .hidden = {8, 9}, .classes = kClasses, .activation = Activation::kGelu, .dropout = 0.25});
    if (name == "resnet")
      return std::make_unique<ResNet>(
          ResNetOptions{.layers = 18, .width = 4, .channels = 3, .classes = kClasses, .residual_gain = 1.0});
    return std::make_unique<Gpt>(GptOptions{.layers = 2,
                                            .heads = 4,
                                            .width = 16,
                                            .context = 8,
                                            .vocabulary = kClasses,
                                            .dropout = 0.25,
                                            .kv_heads = 2,
                                            .activations = activations});
  }
  Spec inputs(Device& device) const {
    if (name == "gpt") return {DType::kI32, {3, 8}, &device};
    return {activations, name == "mlp" ? Shape{6, 5} : Shape{3, 32, 32, 3}, &device};
  }
  Spec targets(Device& device) const {
    return {DType::kI32, name == "gpt" ? Shape{3, 8} : Shape{inputs(device).shape[0]}, &device};
  }
};

std::ostream& operator<<(std::ostream& out, const Training& training) {
  return out << training.name << "_" << name_of(training.activations);
}

// Elements of all kinds, the same on any device.
Tensor filled(const Spec& spec) {
  const Tensor tensor = Tensor::zeros(spec);
  for (std::int64_t i = 0; i < tensor.elements(); ++i) {
    const std::int64_t number = i * i % 11 % kClasses;
    if (spec.dtype == DType::kI32) tensor.data<std::int32_t>()[i] = static_cast<std::int32_t>(number);
    if (spec.dtype == DType::kF32) tensor.data<float>()[i] = static_cast<float>(number) / 3.0F - 1.0F;
    if (spec.dtype == DType::kBF16)
      tensor.data<bfloat16>()[i] = static_cast<bfloat16>(static_cast<float>(number) / 4.0F - 1.0F);
  }
  return tensor;
}

// Its training step, with dropout, captured on a device.
class Step {
 public:
  explicit Step(Device& device, const Training& training = {}) : device_(device), model_(training.model()) {
    Tensors leaves;
    for (const Parameter& parameter : model_->parameters()) {
      parameter.bind(Tensor::zeros({DType::kF32, parameter.shape(), &device}));
      parameter.initialize(9);
      states_.push_back(parameter.value());
      if (parameter.group() != ParameterGroup::kStatistics) leaves.push_back(parameter.value());
    }
    inputs_ = {filled(training.inputs(device)), filled(training.targets(device))};
    Capture capture(device);
    for (const Parameter& parameter : model_->parameters()) capture.state(parameter.name(), parameter.value());
    const Tensor x = capture.input("inputs", inputs_[0].spec());
    const Tensor y = capture.input("targets", inputs_[1].spec());
    const Loss loss = model_->training_step(x, y);
    capture.result("loss", loss.sum);
    for (const Emission& emission : capture.recorder().emissions()) capture.result("emission", emission.contribution);
    backward(loss.sum, leaves, [&](std::size_t, const Tensor& gradient) { capture.result("gradient", gradient); });
    graph_ = std::make_unique<Graph>(capture.finish());
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
  std::unique_ptr<Model> model_;
  Tensors states_, inputs_;
  std::unique_ptr<Graph> graph_;
};

std::vector<double> elements(const Tensor& tensor) {
  if (tensor.dtype() == DType::kF64) return tensor.to_vector<double>();
  const std::vector<float> values = tensor.to_vector<float>();
  return {values.begin(), values.end()};
}

std::vector<std::vector<double>> results_on_the_cpu(const Training& training = {}) {
  CpuDevice cpu;
  const Step step(cpu, training);
  Plan plan(step.graph(), step.states());
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

class ReplayTest : public testing::TestWithParam<Training> {};

TEST_P(ReplayTest, HasTheBitsOfTheCpuInAnyOrder) {
  const auto expected = results_on_the_cpu(GetParam());
  ASSERT_GE(expected.size(), 7U);
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    const auto device = load_fake(seed);
    const Step step(*device, GetParam());
    Plan plan(step.graph(), step.states(), {.poison = seed % 2 == 1});
    const Tensors taken = take_results(step, plan, {}, 3);
    device->synchronize();
    for (std::size_t i = 0; i < taken.size(); ++i) EXPECT_EQ(elements(taken[i]), expected[i]) << i << ", seed " << seed;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, ReplayTest,
                         testing::Values(Training{"mlp"}, Training{"resnet"}, Training{"resnet", DType::kBF16},
                                         Training{"gpt"}, Training{"gpt", DType::kBF16}),
                         [](const auto& test) { return testing::PrintToString(test.param); });

TEST(PlanOnStreamsTest, AnOptimisedGraphHasThemToo) {
  const auto expected = results_on_the_cpu();
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
