// A program built on Convoy: a data set, a model and a training step of its own, trained like Convoy's recipes are.
//
//   ./custom_model                                 with one worker
//   convoy launch -n 3 -- ./custom_model           with three: the same bits
//   mpirun -np 2 ./custom_model                    with two
//   ./custom_model train.steps=50 model.width=64   with other values than the recipe below
//   ./custom_model resume DIR                      goes on with the run in DIR after it was stopped
#include <convoy/convoy.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <string>
#include <vector>

using convoy::Tensor;

constexpr char kRecipe[] = R"(
[model]                 # these two sections are the program's own: it reads what it put there
width = 32
blocks = 3
smoothing = 0.05        # of the labels

[data]
arms = 3
points = 3000
noise = 0.03

[optimizer]             # from here on, Convoy's keys
kind = "adamw"
lr = 1e-2
schedule = "cosine"
warmup_steps = 20

[train]
steps = 300
global_batch = 64
seed = 7
)";

// Points in the plane, each on one of several spiral arms: which one? Point i is a pure function of i, so that every
// worker has the same data without reading any.
class Spirals final : public convoy::Dataset {
 public:
  explicit Spirals(const convoy::Recipe& recipe)
      : arms_(recipe.integer("data.arms")),
        points_(recipe.integer("data.points")),
        noise_(recipe.number("data.noise")) {
    using convoy::ErrorCode;
    if (arms_ < 2) convoy::fail(ErrorCode::kUsage, "data.arms: expected at least 2, found {}", arms_);
    if (points_ < 10) convoy::fail(ErrorCode::kUsage, "data.points: expected at least 10, found {}", points_);
  }

  // The last tenth is held out.
  std::int64_t size(convoy::Split split) const override {
    return split == convoy::Split::kTrain ? points_ - points_ / 10 : points_ / 10;
  }
  convoy::SampleSpec input_spec() const override { return {.dtype = convoy::DType::kF32, .shape = {2}}; }
  convoy::SampleSpec target_spec() const override { return {.dtype = convoy::DType::kI32, .shape = {}}; }
  std::int64_t classes() const override { return arms_; }

 private:
  void read_sample(convoy::Split split, convoy::SampleId sample, void* input, std::int32_t* target) const override {
    const std::int64_t point = sample.number + (split == convoy::Split::kEval ? size(convoy::Split::kTrain) : 0);
    const auto random = convoy::philox({static_cast<std::uint32_t>(point), 0, 0, 0}, convoy::mix(1));
    const auto arm = static_cast<std::int64_t>(random[0] % static_cast<std::uint64_t>(arms_));
    const double along = convoy::uniform_float(random[1]);  // [0, 1)
    const double wobble = noise_ * (2.0 * convoy::uniform_float(random[2]) - 1.0);
    const double angle = 2.0 * std::numbers::pi * (static_cast<double>(arm) / static_cast<double>(arms_) + along);
    auto* xy = static_cast<float*>(input);
    xy[0] = static_cast<float>((along + wobble) * std::cos(angle));
    xy[1] = static_cast<float>((along + wobble) * std::sin(angle));
    *target = static_cast<std::int32_t>(arm);
  }

  std::int64_t arms_;
  std::int64_t points_;
  double noise_;
};

// x + W₂·gelu(W₁·norm(x)).
class ResidualBlock {
 public:
  ResidualBlock(const convoy::ParameterScope& scope, std::int64_t width)
      : norm_(scope / "norm", width),
        expand_(scope / "expand", width, 2 * width, std::sqrt(1.0 / width), convoy::Activation::kGelu),
        contract_(scope / "contract", 2 * width, width, std::sqrt(0.5 / width)) {}
  Tensor operator()(const Tensor& x) const { return convoy::add(x, contract_(expand_(norm_(x)))); }

 private:
  convoy::LayerNorm norm_;
  convoy::Linear expand_;
  convoy::Linear contract_;
};

class SpiralNet final : public convoy::Model {
 public:
  SpiralNet(const convoy::Recipe& recipe, const convoy::TaskSpec& task)
      : smoothing_(recipe.number("model.smoothing")),
        lift_(convoy::ParameterScope(parameters_, "lift"), task.shape[0], recipe.integer("model.width"), 2.0),
        head_(convoy::ParameterScope(parameters_, "head"), recipe.integer("model.width"), task.classes, 0.1) {
    const convoy::ParameterScope scope(parameters_, "blocks");
    for (std::int64_t i = 0; i < recipe.integer("model.blocks"); ++i)
      blocks_.emplace_back(scope / std::to_string(i), recipe.integer("model.width"));
  }

  // [batch, 2] → [batch, arms].
  Tensor logits(const Tensor& inputs, convoy::Mode) const override {
    Tensor x = lift_(inputs);
    for (const ResidualBlock& block : blocks_) x = block(x);
    return head_(x);
  }

  // The training step: cross-entropy with smoothed labels (Szegedy et al. 2016). Convoy differentiates it, adds up the
  // gradients of all workers and applies the optimizer.
  convoy::Loss training_step(const Tensor& inputs, const Tensor& targets) const override {
    const Tensor scores = logits(inputs, convoy::Mode::kTrain);
    const convoy::Loss hard = convoy::cross_entropy(scores, targets);
    const Tensor even = convoy::mean(convoy::log(convoy::softmax(scores)), {-1});  // as if any class were right
    const Tensor soft = convoy::cast(convoy::sum(even), convoy::DType::kF64);
    return {.sum = convoy::sub(convoy::scale(hard.sum, 1.0 - smoothing_), convoy::scale(soft, smoothing_)),
            .count = hard.count};
  }

 private:
  double smoothing_;
  convoy::Linear lift_;
  std::vector<ResidualBlock> blocks_;
  convoy::Linear head_;
};

int main(int argc, char** argv) {
  return convoy::train(
      argc, argv,
      {.recipe = kRecipe,
       .open_dataset = [](const convoy::Recipe& recipe) { return std::make_unique<Spirals>(recipe); },
       .make_model = [](const convoy::Recipe& recipe,
                        const convoy::TaskSpec& task) { return std::make_unique<SpiralNet>(recipe, task); }});
}
