#include "core/nn/gpt.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "core/device/cpu_device.h"
#include "core/graph/backward.h"
#include "core/graph/recorder.h"

namespace convoy {
namespace {

constexpr GptOptions kSmall{.layers = 2, .heads = 2, .width = 32, .context = 16, .vocabulary = 50, .dropout = 0.0};

void bind_all(const Model& model, Device& device) {
  for (const Parameter& parameter : model.parameters()) {
    parameter.bind(Tensor::zeros({DType::kF32, parameter.shape(), &device}));
    parameter.initialize(7);
  }
}

Tensor tokens(Device& device, std::int64_t batch, std::int64_t length, std::int32_t last) {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(batch * length));
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int32_t>(i * 7 % 50);
  ids.back() = last;
  return Tensor::of<std::int32_t>(device, {batch, length}, ids);
}

TEST(GptTest, HasTheParametersOfGpt2) {
  // The published 124M model: names as in its checkpoint, and as many numbers.
  const Gpt gpt({.layers = 12, .heads = 12, .width = 768, .context = 1024, .vocabulary = 50257, .dropout = 0.0});
  std::int64_t count = 0;
  for (const Parameter& parameter : gpt.parameters()) count += parameter.elements();
  EXPECT_EQ(count, 124'439'808);
  EXPECT_EQ(gpt.parameters().front().name(), "wte.weight");
  EXPECT_EQ(gpt.parameters()[4].name(), "h.0.attn.c_attn.weight");
  EXPECT_EQ(gpt.parameters()[4].shape(), (Shape{768, 2304}));
  EXPECT_EQ(gpt.parameters().back().name(), "ln_f.bias");
}

TEST(GptTest, StartsAsAUniformGuess) {
  CpuDevice device;
  const Gpt gpt(kSmall);
  bind_all(gpt, device);
  const Recorder recorder(device, {}, Recorder::Tape::kOff);
  // Other targets than inputs: the tied head favours the token it reads.
  std::vector<std::int32_t> targets = tokens(device, 3, 16, 0).to_vector<std::int32_t>();
  for (std::int32_t& target : targets) target = (target + 25) % 50;
  const Loss loss =
      gpt.loss(tokens(device, 3, 16, 0), Tensor::of<std::int32_t>(device, {3, 16}, targets), Mode::kInfer);
  EXPECT_EQ(loss.count.item(), 48.0);
  EXPECT_NEAR(loss.sum.item() / loss.count.item(), std::log(50.0), 0.1);
}

TEST(GptTest, ATokenDoesNotSeeWhatFollows) {
  CpuDevice device;
  const Gpt gpt(kSmall);
  bind_all(gpt, device);
  const Recorder recorder(device, {}, Recorder::Tape::kOff);
  const std::vector<float> a = gpt.logits(tokens(device, 1, 16, 3), Mode::kInfer).to_vector<float>();
  const std::vector<float> b = gpt.logits(tokens(device, 1, 16, 4), Mode::kInfer).to_vector<float>();
  const std::size_t last = a.size() - 50;
  EXPECT_TRUE(std::equal(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(last), b.begin()));
  EXPECT_FALSE(std::equal(a.begin() + static_cast<std::ptrdiff_t>(last), a.end(),
                          b.begin() + static_cast<std::ptrdiff_t>(last)));
}

TEST(GptTest, DropoutActsInTrainingOnly) {
  CpuDevice device;
  GptOptions options = kSmall;
  options.dropout = 0.5;
  const Gpt gpt(options);
  bind_all(gpt, device);
  const auto loss = [&](Mode mode, std::int64_t step) {
    const Recorder recorder(device, {.seed = 1, .step = step, .shard = 0}, Recorder::Tape::kOff);
    return gpt.loss(tokens(device, 1, 16, 3), tokens(device, 1, 16, 4), mode).sum.item();
  };
  EXPECT_EQ(loss(Mode::kInfer, 1), loss(Mode::kInfer, 2));
  EXPECT_EQ(loss(Mode::kTrain, 1), loss(Mode::kTrain, 1));
  EXPECT_NE(loss(Mode::kTrain, 1), loss(Mode::kTrain, 2));
}

// Against a step along the gradient: the loss must fall by about its squared norm.
TEST(GptTest, GradientIsTheSlopeOfTheLoss) {
  CpuDevice device;
  const Gpt gpt(kSmall);
  bind_all(gpt, device);
  const Tensor inputs = tokens(device, 2, 16, 3);
  const Tensor targets = tokens(device, 2, 16, 9);
  Tensors leaves;
  for (const Parameter& parameter : gpt.parameters()) leaves.push_back(parameter.value());
  Tensors gradients(leaves.size());
  double before = 0.0;
  {
    const Recorder recorder(device, {});
    const Loss loss = gpt.loss(inputs, targets, Mode::kTrain);
    before = loss.sum.item();
    backward(loss.sum, leaves, [&](std::size_t i, const Tensor& gradient) { gradients[i] = gradient; });
  }
  double squares = 0.0;
  for (const Tensor& gradient : gradients) {
    ASSERT_TRUE(gradient.defined());
    for (const float value : gradient.to_vector<float>()) squares += static_cast<double>(value) * value;
  }
  const double step = 1e-3 / std::sqrt(squares);
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    const std::vector<float> slope = gradients[i].to_vector<float>();
    for (std::size_t k = 0; k < slope.size(); ++k) leaves[i].data<float>()[k] -= static_cast<float>(step) * slope[k];
  }
  const Recorder recorder(device, {}, Recorder::Tape::kOff);
  const double after = gpt.loss(inputs, targets, Mode::kTrain).sum.item();
  EXPECT_NEAR((before - after) / (step * squares), 1.0, 0.05);
}

}  // namespace
}  // namespace convoy
