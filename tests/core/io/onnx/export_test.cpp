#include "core/io/onnx/export.h"

#include <algorithm>
#include <set>

#include "core/ops/attention.h"
#include "core/ops/concat.h"
#include "core/ops/constant.h"
#include "core/ops/conv.h"
#include "core/ops/elementwise.h"
#include "core/ops/matmul.h"
#include "core/ops/norm.h"
#include "core/ops/pool.h"
#include "core/ops/random.h"
#include "core/ops/reduce.h"
#include "core/ops/rotary.h"
#include "core/ops/view.h"
#include "tests/core/io/onnx/exported.h"

namespace convoy {
namespace {

using Names = std::vector<std::string>;

class ExportTest : public ExportedTest {
 protected:
  static std::int64_t count(const OnnxModel& model, const std::string& op) {
    const Names names = ops(model);
    return std::count(names.begin(), names.end(), op);
  }
};

TEST_F(ExportTest, InputsAndOutputsKeepTheirNamesAndTheBatchIsOpen) {
  const OnnxModel model = exported({28, 28, 1}, [](const Tensor& x) { return reshape(x, {x.shape()[0], 784}); });
  EXPECT_EQ(to_string(model.inputs.at(0)), "x f32[batch, 28, 28, 1]");
  EXPECT_EQ(to_string(model.outputs.at(0)), "y f32[batch, 784]");
}

TEST_F(ExportTest, EveryInputOfANodeIsMadeBeforeIt) {
  weight({4, 8});
  weight({8});
  const OnnxModel model = exported({3, 4}, [this](const Tensor& x) {
    return mul(linear(x, weights_[0], weights_[1], Activation::kGelu), scale(ones_like(matmul(x, weights_[0])), 0.5));
  });
  std::set<std::string> made;
  for (const OnnxPort& port : model.inputs) made.insert(port.name);
  for (const OnnxWeight& one : model.weights) EXPECT_TRUE(made.insert(one.name).second) << one.name;
  for (const OnnxNode& node : model.nodes) {
    for (const std::string& input : node.inputs) EXPECT_TRUE(made.contains(input)) << node.name << " of " << input;
    for (const std::string& output : node.outputs) EXPECT_TRUE(made.insert(output).second) << output;
  }
  EXPECT_TRUE(made.contains("y"));
}

TEST_F(ExportTest, WeightsThatNobodyReadsAreLeftOut) {
  weight({4, 8});
  weight({4, 2});
  const OnnxModel model = exported({4}, [this](const Tensor& x) { return linear(x, weights_[1], {}); });
  ASSERT_EQ(model.weights.size(), 1U);
  EXPECT_EQ(model.weights[0].name, "w1");
}

TEST_F(ExportTest, AResultThatIsTheInputBecomesANodeOfItsOwn) {
  const OnnxModel model = exported({4}, [](const Tensor& x) { return x; });
  EXPECT_EQ(ops(model), Names{"Identity"});
  EXPECT_EQ(model.nodes[0].outputs, Names{"y"});
}

TEST_F(ExportTest, PicturesAreTransposedAtTheEdgesAlone) {
  weight({8, 3, 3, 3});
  weight({8, 8, 3, 3});
  const OnnxModel model = exported({8, 8, 3}, [this](const Tensor& x) {
    const Tensor a = relu(conv2d(x, weights_[0], {}, {.padding = {1, 1}}));
    const Tensor b = conv2d(a, weights_[1], {}, {.padding = {1, 1}});
    return max_pool2d(add(a, b), {});
  });
  EXPECT_EQ(ops(model), (Names{"Transpose", "Conv", "Relu", "Conv", "Add", "MaxPool", "Transpose"}));
}

TEST_F(ExportTest, AMeanOverPixelsNeedsNoTransposition) {
  weight({8, 3, 3, 3});
  const OnnxModel model =
      exported({8, 8, 3}, [this](const Tensor& x) { return global_average_pool2d(conv2d(x, weights_[0], {}, {})); });
  EXPECT_EQ(ops(model), (Names{"Transpose", "Conv", "ReduceSum", "Mul"}));
}

TEST_F(ExportTest, OneMaskServesAllLayers) {
  const OnnxModel model = exported({6, 24}, [](const Tensor& x) {
    return self_attention(concat({self_attention(x, 2), self_attention(x, 2), slice(x, 2, 0, 8)}, 2), 2);
  });
  EXPECT_EQ(count(model, "Range"), 1);
  EXPECT_EQ(count(model, "Softmax"), 3);
}

TEST_F(ExportTest, EqualConstantsAreShared) {
  const OnnxModel model = exported({4}, [](const Tensor& x) { return scale(add_scalar(scale(x, 0.5), 0.25), 0.5); });
  EXPECT_EQ(model.weights.size(), 2U);
}

TEST_F(ExportTest, OperatorsWithoutAFormAreRefusedWithTheirAttributes) {
  EXPECT_EQ(
      refusal([&] { exported({4}, [](const Tensor& x) { return dropout(x, 0.5); }); }),
      "export: dropout(p=0.5, ordinal=0) of f32[2, 4]: expected an operator that has an ONNX form (docs/export.md)");
}

TEST_F(ExportTest, Bf16IsRefused) {
  EXPECT_EQ(refusal([&] { exported({4}, [](const Tensor& x) { return cast(x, DType::kBF16); }); }),
            "export: cast(dtype=bf16) of f32[2, 4]: expected f32 or f64; a model is exported with f32 activations");
}

TEST_F(ExportTest, OutputsThatTheFormDoesNotGiveAreRefused) {
  const std::string message = refusal([&] {
    const SizedGraph graph({}, [&](std::span<const std::int64_t>) {
      Graph captured(device_);
      const ValueId x = captured.add_input("x", {DType::kF32, {1, 4, 4, 1}, &device_});
      Capture capture(device_);
      const Tensor pooled = max_pool2d(capture.input("x", {DType::kF32, {1, 4, 4, 1}, &device_}), {});
      const OpPtr op = capture.finish().node(0).op;
      const NodeId node = captured.append(op, Phase::kForward, {x});
      captured.add_result("places", captured.node(node).outputs[1]);
      return captured;
    });
    export_onnx(graph, {});
  });
  EXPECT_NE(message.find("max_pool2d("), std::string::npos) << message;
  EXPECT_NE(message.find("its output 1 is used, which its ONNX form does not give"), std::string::npos) << message;
}

TEST_F(ExportTest, NumbersOfTheStepBecomeWeights) {
  const std::vector<double> numbers = {1, -0.5, 0.1};
  const OnnxModel model = exported({3}, [&](const Tensor& x) {
    const Tensor y = mul(x, constant(DType::kF32, {3}, numbers));
    return add(y, constant(DType::kF32, {}, std::span(numbers).first(1)));
  });
  EXPECT_EQ(ops(model), (Names{"Mul", "Add"}));
  ASSERT_EQ(model.weights.size(), 2U);
  EXPECT_EQ(model.weights[0].tensor.to_vector<float>(), (std::vector<float>{1.0F, -0.5F, 0.1F}));
  EXPECT_EQ(model.weights[1].tensor.shape(), Shape{});
}

TEST_F(ExportTest, NumbersThatFollowTheBatchAreRefused) {
  const std::string message = refusal([&] {
    exported({3}, [](const Tensor& x) {
      const std::vector<double> ones(static_cast<std::size_t>(x.shape()[0]), 1.0);
      return mul(x, constant(DType::kF32, {x.shape()[0], 1}, ones));
    });
  });
  EXPECT_NE(message.find("constant_values("), std::string::npos) << message;
  EXPECT_NE(message.find("depends on batch in a way that no ONNX node has"), std::string::npos) << message;
}

TEST_F(ExportTest, OperatorsHaveOneRuleEach) {
  const Names names = onnx_operators();
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
  EXPECT_GT(names.size(), 40U);
}

}  // namespace
}  // namespace convoy
