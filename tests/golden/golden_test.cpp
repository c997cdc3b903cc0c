// PyTorch's numbers: from the same weights and batches, the same losses over the first steps and the same gradients.
// generate.py wrote the files and says what is in them.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "core/io/safetensors.h"
#include "core/nn/schedule.h"
#include "distributed/solo.h"
#include "worker/replica.h"

namespace convoy::worker {
namespace {

namespace fs = std::filesystem;

struct Golden {
  std::string model;
  std::string precision;
  double tolerance;  // relative: of losses, and of gradients in the norm of each parameter's
};

std::ostream& operator<<(std::ostream& out, const Golden& golden) {
  return out << golden.model << "_" << golden.precision;
}

// One worker, one logical shard, on weights and batches from a file.
class GoldenRun {
 public:
  explicit GoldenRun(const Golden& golden)
      : precision_(golden.precision),
        file_(std::string(CONVOY_GOLDEN_FOLDER) + "/" + golden.model + ".safetensors"),
        inputs_(file_.read("inputs", device_)),
        targets_(file_.read("targets", device_)),
        recipe_(make_recipe()),
        replica_(recipe_, make_model(recipe_.model, task()), device_),
        reducer_(replica_.layout(), 1),
        memory_(device_, reducer_.arena_bytes()) {
    reducer_.use_arena({static_cast<std::byte*>(memory_.data()), memory_.bytes()});
    for (const Parameter& parameter : replica_.model().parameters()) {
      for (const std::string& folder : {std::string("parameters/"), "parameters." + precision_ + "/"}) {
        if (file_.contains(folder + parameter.name())) file_.read_into(folder + parameter.name(), parameter.value());
      }
    }
  }

  std::int64_t steps() { return reference("losses").elements(); }
  Tensor reference(const std::string& what) { return file_.read(what + "." + precision_, device_); }
  Tensor reference(const std::string& what, const std::string& name) {
    return file_.read(what + "." + precision_ + "/" + name, device_);
  }
  bool has_reference(const std::string& what, const std::string& name) const {
    return file_.contains(what + "." + precision_ + "/" + name);
  }
  const Replica& replica() const { return replica_; }
  const Parameters& parameters() const { return replica_.model().parameters(); }

  // Runs a step (from 1) and returns its loss.
  double step(std::int64_t step) {
    const Batch batch{.inputs = batch_of(inputs_, step), .targets = batch_of(targets_, step)};
    reducer_.begin_step(step, distributed::regular_assignment(1, 1), 0);
    reducer_.begin_leaf(0);
    reducer_.end_leaf(
        replica_.gradient({.seed = 0, .step = step, .shard = 0}, batch,
                          [&](std::size_t i, std::span<const float> gradient) { reducer_.add(i, gradient); }));
    const distributed::LossSums total = reducer_.reduce(communicator_);
    count_ = total.count;
    replica_.update(step, reducer_.reduced_data(),
                    {.lr = learning_rate(recipe_.optimizer, step, steps()), .gradient_scale = 1.0 / total.count});
    return total.loss / total.count;
  }

  // Of the mean loss, after a step.
  std::vector<double> gradient(std::size_t parameter) const {
    const float* begin = reducer_.reduced_data() + replica_.layout().offset(parameter);
    std::vector<double> result(begin, begin + parameters()[parameter].elements());
    for (double& value : result) value /= count_;
    return result;
  }

 private:
  Recipe make_recipe() const {
    std::string folder = fs::temp_directory_path() / "convoy-golden-XXXXXX";
    if (mkdtemp(folder.data()) == nullptr) throw std::runtime_error("no temporary folder");
    const bool tokens = inputs_.dtype() == DType::kI32;
    std::ofstream(folder + "/golden.toml")
        << file_.metadata().at("recipe")
        << (tokens ? "[data]\nkind = \"text\"\npath = \"x\"\ncontext = " + std::to_string(inputs_.shape()[-1])
                   : std::string("[data]\nkind = \"mnist\"\npath = \"x\""))
        << "\n[train]\nsteps = 1000\nglobal_batch = " << inputs_.shape()[1] << "\nlogical_shards = 1\nprecision = \""
        << precision_ << "\"\n";
    Recipe recipe = load_recipe(folder + "/golden.toml", {});
    fs::remove_all(folder);
    return recipe;
  }

  TaskSpec task() const {
    Shape sample;
    for (int i = 2; i < inputs_.shape().rank(); ++i) sample.append(inputs_.shape()[i]);
    const DType activations = activation_dtype(recipe_.train);
    return {.dtype = is_floating(inputs_.dtype()) ? activations : inputs_.dtype(),
            .shape = sample,
            .classes = std::stoll(file_.metadata().at("classes")),
            .data_kind = recipe_.data.kind,
            .activations = activations};
  }

  Tensor batch_of(const Tensor& batches, std::int64_t step) const {
    Shape shape;
    for (int i = 1; i < batches.shape().rank(); ++i) shape.append(batches.shape()[i]);
    Layout layout = Layout::contiguous(shape);
    layout.offset = (step - 1) % batches.shape()[0] * shape.elements();
    return batches.view(layout);
  }

  std::string precision_;
  CpuDevice device_;
  SafetensorsFile file_;
  Tensor inputs_;
  Tensor targets_;
  Recipe recipe_;
  Replica replica_;
  distributed::GradientReducer reducer_;
  Storage memory_;
  distributed::SoloCommunicator communicator_;
  double count_ = 0.0;
};

// ‖a - b‖ / ‖b‖.
double distance(const std::vector<double>& a, const std::vector<double>& b) {
  double difference = 0.0;
  double norm = 0.0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  return std::sqrt(difference / norm);
}

std::vector<double> to_doubles(const Tensor& tensor) {
  const std::vector<float> values = tensor.to_vector<float>();
  return {values.begin(), values.end()};
}

class GoldenTest : public testing::TestWithParam<Golden> {};

TEST_P(GoldenTest, GradientsAreThoseOfPyTorch) {
  GoldenRun run(GetParam());
  run.step(1);
  for (std::size_t i = 0; i < run.parameters().size(); ++i) {
    if (run.parameters()[i].group() == ParameterGroup::kStatistics) continue;
    const std::string& name = run.parameters()[i].name();
    ASSERT_TRUE(run.has_reference("gradients", name)) << name;
    EXPECT_LE(distance(run.gradient(i), to_doubles(run.reference("gradients", name))), GetParam().tolerance) << name;
  }
}

TEST_P(GoldenTest, LossesAreThoseOfPyTorch) {
  GoldenRun run(GetParam());
  const std::vector<double> losses = run.reference("losses").to_vector<double>();
  ASSERT_EQ(losses.size(), 20U);
  for (std::size_t i = 0; i < losses.size(); ++i)
    EXPECT_NEAR(run.step(static_cast<std::int64_t>(i) + 1), losses[i], GetParam().tolerance * losses[i])
        << "step " << i + 1;
  for (const Parameter& parameter : run.parameters()) {
    if (parameter.group() != ParameterGroup::kStatistics || parameter.name().ends_with("num_batches_tracked")) continue;
    ASSERT_TRUE(run.has_reference("statistics", parameter.name())) << parameter.name();
    EXPECT_LE(distance(to_doubles(parameter.value()), to_doubles(run.reference("statistics", parameter.name()))),
              GetParam().tolerance)
        << parameter.name();
  }
}

// The tolerance of bf16 holds for fp32 too: that activations are rounded shows in gradients that differ by more than
// sums in another order would.
TEST(GoldenPrecisionTest, HalfPrecisionRounds) {
  for (const char* model : {"mlp", "gpt", "llama"}) {
    GoldenRun single({model, "fp32", 0.0}), half({model, "bf16", 0.0});
    single.step(1);
    half.step(1);
    for (std::size_t i = 0; i < single.parameters().size(); ++i)
      EXPECT_GE(distance(half.gradient(i), single.gradient(i)), 5e-4) << model << " " << single.parameters()[i].name();
  }
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenTest,
                         testing::Values(Golden{"mlp", "fp32", 1e-4}, Golden{"mlp", "bf16", 2e-2},
                                         Golden{"gpt", "fp32", 1e-4}, Golden{"gpt", "bf16", 2e-2},
                                         Golden{"llama", "fp32", 1e-4}, Golden{"llama", "bf16", 2e-2},
                                         Golden{"resnet", "fp32", 1e-4}, Golden{"resnet", "bf16", 2e-2}),
                         [](const auto& golden) { return golden.param.model + "_" + golden.param.precision; });

}  // namespace
}  // namespace convoy::worker
