#include "core/io/onnx/sized_graph.h"

#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "core/ops/view.h"
#include "tests/core/io/onnx/exported.h"

namespace convoy {
namespace {

class SizedGraphTest : public ExportedTest {};

constexpr OnnxExtent kBatch{1, 1};

OnnxExtent fixed(std::int64_t extent) { return {extent, 0}; }

TEST_F(SizedGraphTest, ExtentsFollowTheBatchWhereTheyDo) {
  const SizedGraph graph = sized({2, 3}, [](const Tensor& x) { return reshape(x, {x.shape()[0] * 2, 3}); });
  EXPECT_EQ(graph.shape(0), (OnnxExtents{kBatch, fixed(2), fixed(3)}));
  EXPECT_EQ(graph.shape(1), (OnnxExtents{{2, 1}, fixed(3)}));
}

TEST_F(SizedGraphTest, AnExtentThatEqualsTheBatchByChanceStaysFixed) {
  const SizedGraph graph = sized({2}, [](const Tensor& x) { return permute(x, {1, 0}); });
  EXPECT_EQ(graph.shape(1), (OnnxExtents{fixed(2), kBatch}));
}

TEST_F(SizedGraphTest, SeveralSizesMultiply) {
  const SizedGraph graph({{"batch", 0, 0, {2, 3, 5}}, {"sequence", 0, 1, {8, 7, 4}}},
                         [this](std::span<const std::int64_t> sizes) {
                           Capture capture(device_);
                           const Tensor x = capture.input("x", {DType::kF32, {sizes[0], sizes[1], 6}, &device_});
                           capture.result("y", reshape(slice(x, 2, 0, 3), {sizes[0] * sizes[1], 3}));
                           return capture.finish();
                         });
  EXPECT_EQ(graph.shape(0), (OnnxExtents{{1, 1}, {1, 2}, fixed(6)}));
  EXPECT_EQ(graph.shape(2), (OnnxExtents{{1, 3}, fixed(3)}));
  EXPECT_EQ(std::get<OnnxExtent>(graph.attributes(0).at("end")), fixed(3));
}

TEST_F(SizedGraphTest, AttributesFollowTheBatch) {
  const SizedGraph graph = sized({4}, [](const Tensor& x) { return slice(x, 0, 0, x.shape()[0]); });
  EXPECT_EQ(std::get<OnnxExtent>(graph.attributes(0).at("end")), kBatch);
  EXPECT_EQ(std::get<OnnxExtent>(graph.attributes(0).at("begin")), fixed(0));
}

TEST_F(SizedGraphTest, SumsOfTheBatchAreRefused) {
  EXPECT_EQ(refusal([&] { sized({4}, [](const Tensor& x) { return pad(x, 0, 1, 0); }); }),
            "export: pad(axis=0, before=1, after=0): axis 0 of f32[3, 4] does not grow in proportion to batch");
}

TEST_F(SizedGraphTest, NumbersThatFollowTheBatchAreRefused) {
  EXPECT_EQ(refusal([&] { sized({4}, [](const Tensor& x) { return mean(x, {0}); }); }),
            "export: scale(factor=0.5): factor depends on batch in a way that no ONNX node has");
}

TEST_F(SizedGraphTest, OtherOperatorsForOtherSizesAreRefused) {
  EXPECT_EQ(refusal([&] { sized({4}, [](const Tensor& x) { return x.shape()[0] < 4 ? relu(x) : exp(x); }); }),
            "export: which operators the model applies depends on batch; expected the same ones at any");
}

}  // namespace
}  // namespace convoy
