#include "core/nn/gpt.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "core/device/cpu_device.h"
#include "core/graph/backward.h"
#include "core/graph/recorder.h"

namespace convoy {
namespace {

constexpr GptOptions kSmall{.layers = 2, .heads = 2, .width = 32, .context = 16, .vocabulary = 50, .dropout = 0.0};

GptOptions small_llama(bool own_head) {
  GptOptions options = kSmall;
  options.heads = 4;
  options.kv_heads = 2;
  options.mlp_width = 40;
  options.norm = GptNorm::kRms;
  options.activation = GptActivation::kSwiglu;
  options.positions = GptPositions::kRotary;
  options.own_head = own_head;
  options.bias = false;
  return options;
}

// Rotary positions and gates, but layer norm and biases: GPT-2's names.
GptOptions small_mixture() {
  GptOptions options = small_llama(false);
  options.norm = GptNorm::kLayer;
  options.bias = true;
  return options;
}

struct Variant {
  std::string name;
  GptOptions options;
};
class GptVariantTest : public testing::TestWithParam<Variant> {};

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

TEST(GptTest, HasTheParametersOfLlama) {
  // TinyLlama (Zhang et al. 2024): Llama's form with grouped key heads and a head of its own.
  const Gpt gpt({.layers = 22,
                 .heads = 32,
                 .width = 2048,
                 .context = 2048,
                 .vocabulary = 32000,
                 .kv_heads = 4,
                 .mlp_width = 5632,
                 .norm = GptNorm::kRms,
                 .activation = GptActivation::kSwiglu,
                 .positions = GptPositions::kRotary,
                 .own_head = true,
                 .bias = false});
  std::int64_t count = 0;
  std::map<std::string, Shape> shapes;
  for (const Parameter& parameter : gpt.parameters()) {
    count += parameter.elements();
    shapes[parameter.name()] = parameter.shape();
  }
  EXPECT_EQ(count, 1'100'048'384);
  EXPECT_EQ(shapes.size(), 3 + 22 * 9);
  EXPECT_EQ(shapes.at("embed_tokens.weight"), (Shape{32000, 2048}));
  EXPECT_EQ(shapes.at("layers.21.self_attn.q_proj.weight"), (Shape{2048, 2048}));
  EXPECT_EQ(shapes.at("layers.0.self_attn.v_proj.weight"), (Shape{2048, 256}));
  EXPECT_EQ(shapes.at("layers.3.mlp.gate_proj.weight"), (Shape{2048, 5632}));
  EXPECT_EQ(shapes.at("layers.3.mlp.down_proj.weight"), (Shape{5632, 2048}));
  EXPECT_EQ(shapes.at("layers.3.post_attention_layernorm.weight"), (Shape{2048}));
  EXPECT_EQ(shapes.at("norm.weight"), (Shape{2048}));
  EXPECT_EQ(shapes.at("lm_head.weight"), (Shape{2048, 32000}));
}

TEST(GptTest, MixturesKeepGpt2sNames) {
  const Gpt gpt(small_mixture());
  std::map<std::string, Shape> shapes;
  for (const Parameter& parameter : gpt.parameters()) shapes[parameter.name()] = parameter.shape();
  EXPECT_EQ(shapes.at("h.1.attn.c_attn.weight"), (Shape{32, 64}));
  EXPECT_EQ(shapes.at("h.1.mlp.c_gate.bias"), (Shape{40}));
  EXPECT_FALSE(shapes.contains("wpe.weight"));
}

TEST_P(GptVariantTest, StartsAsAUniformGuess) {
  CpuDevice device;
  const Gpt gpt(GetParam().options);
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

TEST_P(GptVariantTest, ATokenDoesNotSeeWhatFollows) {
  CpuDevice device;
  const Gpt gpt(GetParam().options);
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
TEST_P(GptVariantTest, GradientIsTheSlopeOfTheLoss) {
  CpuDevice device;
  const Gpt gpt(GetParam().options);
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

// Only positions tell two orders of the same tokens apart: the last token's guess must depend on the order.
TEST_P(GptVariantTest, OrderMatters) {
  CpuDevice device;
  GptOptions options = GetParam().options;
  options.layers = 1;  // a second layer would see the order in what the first left out
  const Gpt gpt(options);
  bind_all(gpt, device);
  const Recorder recorder(device, {}, Recorder::Tape::kOff);
  const auto last = [&](const std::vector<std::int32_t>& ids) {
    const std::vector<float> logits =
        gpt.logits(Tensor::of<std::int32_t>(device, {1, 4}, ids), Mode::kInfer).to_vector<float>();
    return std::vector<float>(logits.end() - 50, logits.end());
  };
  const std::vector<float> a = last({1, 2, 3, 4});
  const std::vector<float> b = last({2, 1, 3, 4});
  float difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) difference = std::max(difference, std::abs(a[i] - b[i]));
  EXPECT_GT(difference, 1e-6F);
}

INSTANTIATE_TEST_SUITE_P(All, GptVariantTest,
                         testing::Values(Variant{"Gpt2", kSmall}, Variant{"Llama", small_llama(true)},
                                         Variant{"LlamaTied", small_llama(false)}, Variant{"Mixture", small_mixture()}),
                         [](const auto& variant) { return variant.param.name; });

}  // namespace
}  // namespace convoy
