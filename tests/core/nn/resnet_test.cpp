#include "core/nn/resnet.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.h"
#include "core/base/philox.h"
#include "core/device/cpu_device.h"
#include "core/graph/backward.h"
#include "core/graph/recorder.h"
#include "core/ops/elementwise.h"
#include "core/ops/softmax.h"

namespace convoy {
namespace {

std::int64_t count(const ResNet& model, bool trained) {
  std::int64_t elements = 0;
  for (const Parameter& parameter : model.parameters()) {
    if ((parameter.group() != ParameterGroup::kStatistics) == trained) elements += parameter.elements();
  }
  return elements;
}

// torchvision's numbers of parameters.
TEST(ResNetTest, HasThePublishedNumbersOfParameters) {
  const std::map<std::int64_t, std::int64_t> published = {{18, 11'689'512}, {34, 21'797'672}, {50, 25'557'032}};
  for (const auto& [layers, parameters] : published)
    EXPECT_EQ(count(ResNet({.layers = layers, .classes = 1000}), true), parameters) << layers << " layers";
}

TEST(ResNetTest, ParametersCarryTorchvisionsNamesAndShapes) {
  std::map<std::string, std::string> shapes;
  const ResNet model({.layers = 50, .classes = 10});
  for (const Parameter& parameter : model.parameters()) shapes[parameter.name()] = parameter.shape().to_string();
  EXPECT_EQ(shapes.at("conv1.weight"), "[64, 3, 7, 7]");
  EXPECT_EQ(shapes.at("bn1.running_mean"), "[64]");
  EXPECT_EQ(shapes.at("layer1.0.downsample.0.weight"), "[256, 64, 1, 1]");
  EXPECT_EQ(shapes.at("layer3.5.conv2.weight"), "[256, 256, 3, 3]");
  EXPECT_EQ(shapes.at("layer4.0.downsample.1.num_batches_tracked"), "[1]");
  EXPECT_EQ(shapes.at("layer4.2.bn3.bias"), "[2048]");
  EXPECT_EQ(shapes.at("fc.weight"), "[2048, 10]");
  EXPECT_FALSE(shapes.contains("layer2.1.downsample.0.weight"));
}

TEST(ResNetTest, OnlyWeightsOfConvolutionsAndOfTheLastLayerDecay) {
  const ResNet model({.layers = 18, .classes = 10});
  for (const Parameter& parameter : model.parameters()) {
    const bool matrix = parameter.shape().rank() > 1;
    EXPECT_EQ(parameter.group() == ParameterGroup::kDecay, matrix) << parameter.name();
  }
}

TEST(ResNetTest, TheStemFollowsThePictures) {
  EXPECT_TRUE(ResNet::small_stem("auto", {28, 28, 1}));
  EXPECT_TRUE(ResNet::small_stem("auto", {32, 32, 3}));
  EXPECT_FALSE(ResNet::small_stem("auto", {224, 224, 3}));
  EXPECT_TRUE(ResNet::small_stem("small", {224, 224, 3}));
  EXPECT_FALSE(ResNet::small_stem("imagenet", {32, 32, 3}));
}

TEST(ResNetTest, RefusesOtherDepths) {
  try {
    const ResNet model({.layers = 20, .classes = 10});
    ADD_FAILURE() << "not refused";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("20 layers"), std::string::npos);
  }
}

// A network of f64 numbers on a batch of pictures, and its loss as a function of its parameters.
class F64Network {
 public:
  F64Network(const ResNetOptions& options, const Shape& pictures) : model_(options) {
    std::uint32_t stream = 0;
    for (const Parameter& parameter : model_.parameters()) {
      const bool gain = parameter.shape().rank() == 1 && parameter.name().ends_with("weight");
      const double fan =
          parameter.shape().rank() == 1
              ? 25.0
              : static_cast<double>(parameter.elements() / std::max<std::int64_t>(1, parameter.shape()[0]));
      parameter.bind(random(parameter.shape(), ++stream, gain ? 1.0 : 0.0, std::sqrt(3.0 / fan)));
    }
    inputs_ = random(pictures, 1000, 0.0, 1.0);
    std::vector<std::int32_t> targets;
    for (std::int64_t i = 0; i < pictures[0]; ++i) targets.push_back(static_cast<std::int32_t>(i % options.classes));
    targets_ = Tensor::of<std::int32_t>(device_, {pictures[0]}, targets);
  }

  const Parameters& parameters() const { return model_.parameters(); }

  double loss() const {
    const Recorder recorder(device_, {}, Recorder::Tape::kOff);
    return model_.loss(inputs_, targets_, Mode::kTrain).sum.item();
  }

  // By parameter; empty for running statistics.
  std::vector<std::vector<double>> gradients() const {
    const Recorder recorder(device_, {});
    std::vector<std::vector<double>> result(parameters().size());
    Tensors leaves;
    std::vector<std::size_t> indices;
    for (std::size_t i = 0; i < parameters().size(); ++i) {
      if (parameters()[i].group() == ParameterGroup::kStatistics) continue;
      leaves.push_back(parameters()[i].value());
      indices.push_back(i);
    }
    const Tensor loss = model_.loss(inputs_, targets_, Mode::kTrain).sum;
    backward(loss, leaves,
             [&](std::size_t i, const Tensor& gradient) { result[indices[i]] = gradient.to_vector<double>(); });
    return result;
  }

 private:
  Tensor random(const Shape& shape, std::uint32_t stream, double middle, double reach) const {
    std::vector<double> values(static_cast<std::size_t>(shape.elements()));
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = middle +
                  reach * (2.0 * uniform_float(philox({static_cast<std::uint32_t>(i), 0, 0, 0}, {stream, 3})[0]) - 1.0);
    return Tensor::of<double>(device_, shape, values);
  }

  mutable CpuDevice device_;
  ResNet model_;
  Tensor inputs_;
  Tensor targets_;
};

// Along one element of every parameter, and along a random direction through all of them at once.
void expect_numerical_gradients(const ResNetOptions& options, const Shape& pictures) {
  const F64Network network(options, pictures);
  const std::vector<std::vector<double>> gradients = network.gradients();
  constexpr double kStep = 1e-6;
  const auto slope = [&](double step, const auto& move) {
    move(step);
    const double up = network.loss();
    move(-2 * step);
    const double down = network.loss();
    move(step);
    return (up - down) / (2 * step);
  };
  const auto direction = [](std::size_t parameter, std::size_t element) {
    const auto which = static_cast<std::uint32_t>(parameter);
    return 2.0 * uniform_float(philox({static_cast<std::uint32_t>(element), 1, 0, 0}, {which, 5})[0]) - 1.0;
  };
  double along = 0.0;
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    if (gradients[i].empty()) continue;
    const std::size_t element = gradients[i].size() / 2;
    double& value = network.parameters()[i].value().data<double>()[element];
    const double expected = slope(kStep, [&](double step) { value += step; });
    EXPECT_NEAR(gradients[i][element], expected, 1e-6 * (1 + std::abs(expected))) << network.parameters()[i].name();
    for (std::size_t k = 0; k < gradients[i].size(); ++k) along += gradients[i][k] * direction(i, k);
  }
  // Small steps: with all parameters moving, many a rectified unit is near its edge.
  const double expected = slope(kStep / 100, [&](double step) {
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      double* const values = network.parameters()[i].value().data<double>();
      for (std::size_t k = 0; k < gradients[i].size(); ++k) values[k] += step * direction(i, k);
    }
  });
  EXPECT_NEAR(along, expected, 1e-4 * (1 + std::abs(expected)));
  EXPECT_GT(std::abs(expected), 1e-3) << "nothing to compare";
}

TEST(ResNetTest, GradientsOfBasicBlocksMatchCentralDifferences) {
  expect_numerical_gradients(
      {.layers = 18, .width = 2, .channels = 1, .classes = 3, .small_stem = true, .residual_gain = 1.0},
      {3, 16, 16, 1});
}

TEST(ResNetTest, GradientsOfBottlenecksMatchCentralDifferences) {
  expect_numerical_gradients({.layers = 50, .width = 2, .channels = 3, .classes = 3, .residual_gain = 1.0},
                             {2, 64, 64, 3});
}

// What one pass over a batch gives, with f32 parameters and pictures of `dtype`.
struct Pass {
  double loss = 0.0;
  std::vector<std::vector<float>> gradients;  // by parameter that is trained
};

Pass run_pass(const ResNetOptions& options, const Shape& pictures, DType dtype, int threads) {
  CpuDevice device(threads);
  const ResNet model(options);
  const auto random = [&](const Shape& shape, std::uint32_t stream, double middle, double reach) {
    std::vector<float> values(static_cast<std::size_t>(shape.elements()));
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<float>(
          middle +
          reach * (2.0 * uniform_float(philox({static_cast<std::uint32_t>(i), 0, 0, 0}, {stream, 3})[0]) - 1.0));
    return Tensor::of<float>(device, shape, values);
  };
  std::uint32_t stream = 0;
  Tensors leaves;
  for (const Parameter& parameter : model.parameters()) {
    const bool gain = parameter.shape().rank() == 1 && parameter.name().ends_with("weight");
    const double fan = parameter.shape().rank() == 1
                           ? 25.0
                           : static_cast<double>(parameter.elements()) / static_cast<double>(parameter.shape()[0]);
    parameter.bind(random(parameter.shape(), ++stream, gain ? 1.0 : 0.0, std::sqrt(3.0 / fan)));
    if (parameter.group() != ParameterGroup::kStatistics) leaves.push_back(parameter.value());
  }
  std::vector<std::int32_t> targets;
  for (std::int64_t i = 0; i < pictures[0]; ++i) targets.push_back(static_cast<std::int32_t>(i % options.classes));
  const Tensor inputs = random(pictures, 1000, 0.0, 1.0);

  Pass pass;
  Recorder recorder(device, {});
  const Tensor logits = model.logits(dtype == DType::kF32 ? inputs : cast(inputs, dtype), Mode::kTrain);
  EXPECT_EQ(logits.dtype(), dtype);
  const std::set<std::string_view> layers = {"conv2d", "batch_norm", "max_pool2d", "linear"};
  for (const TapeNode& node : recorder.tape()) {
    if (!layers.contains(node.op->name())) continue;
    EXPECT_EQ(node.outputs[0].dtype(), dtype) << node.op->name();
  }
  for (const Emission& emission : recorder.emissions()) EXPECT_EQ(emission.contribution.dtype(), DType::kF32);
  const Tensor loss = cross_entropy(dtype == DType::kF32 ? logits : cast(logits, DType::kF32),
                                    Tensor::of<std::int32_t>(device, {pictures[0]}, targets))
                          .sum;
  pass.loss = loss.item();
  pass.gradients.resize(leaves.size());
  backward(loss, leaves, [&](std::size_t i, const Tensor& gradient) {
    ASSERT_EQ(gradient.dtype(), DType::kF32);
    pass.gradients[i] = gradient.to_vector<float>();
  });
  return pass;
}

TEST(ResNetTest, Bf16StaysBetweenTheLayersAndNearF32) {
  const ResNetOptions options{.layers = 18, .width = 8, .channels = 3, .classes = 3, .residual_gain = 1.0};
  const Shape pictures{8, 64, 64, 3};
  const Pass wide = run_pass(options, pictures, DType::kF32, 1);
  const Pass half = run_pass(options, pictures, DType::kBF16, 1);
  EXPECT_NEAR(half.loss, wide.loss, 2e-2 * wide.loss);
  // Of the gradients of parameters [begin, end), relative. Rounding flips rectified units near zero: to round nothing
  // but the weights moves the gradients below them by a quarter, that of the layer above by a hundredth.
  const auto distance = [&](std::size_t begin, std::size_t end) {
    double difference = 0.0, norm = 0.0;
    for (std::size_t i = begin; i < end; ++i) {
      for (std::size_t k = 0; k < wide.gradients[i].size(); ++k) {
        const double expected = wide.gradients[i][k];
        difference += std::pow(half.gradients[i].at(k) - expected, 2);
        norm += expected * expected;
      }
    }
    return std::sqrt(difference / norm);
  };
  const std::size_t count = wide.gradients.size();
  EXPECT_LT(distance(0, count), 0.5);
  EXPECT_LT(distance(count - 2, count), 0.05);

  const Pass threads = run_pass(options, pictures, DType::kBF16, 3);
  EXPECT_EQ(threads.loss, half.loss);
  EXPECT_EQ(threads.gradients, half.gradients);
}

}  // namespace
}  // namespace convoy
