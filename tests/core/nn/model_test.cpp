#include "core/nn/model.h"

#include <gtest/gtest.h>

#include <string>

#include "core/base/error.h"
#include "core/device/cpu_device.h"
#include "core/graph/recorder.h"
#include "core/nn/mlp.h"

namespace convoy {
namespace {

TEST(ModelTest, AGptOfImagesIsRefused) {
  ModelRecipe recipe;
  recipe.kind = "gpt";
  const TaskSpec task{.dtype = DType::kF32, .shape = {784}, .classes = 10, .data_kind = "mnist"};
  try {
    make_model(recipe, task);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    EXPECT_NE(std::string(error.what()).find("mnist"), std::string::npos);
  }
}

TEST(ModelTest, AnMlpOfTokensIsRefused) {
  ModelRecipe recipe;
  recipe.kind = "mlp";
  const TaskSpec task{.dtype = DType::kI32, .shape = {64}, .classes = 256, .data_kind = "text"};
  EXPECT_THROW(make_model(recipe, task), Error);
}

TEST(ModelTest, AResNetReadsPicturesOnly) {
  ModelRecipe recipe;
  recipe.kind = "resnet";
  recipe.layers = 18;
  EXPECT_THROW(make_model(recipe, {.dtype = DType::kI32, .shape = {64}, .classes = 256, .data_kind = "text"}), Error);
  EXPECT_THROW(make_model(recipe, {.dtype = DType::kF32, .shape = {784}, .classes = 10, .data_kind = "mnist"}), Error);
  const auto model = make_model(recipe, {.shape = {28, 28, 1}, .classes = 10, .data_kind = "mnist"});
  EXPECT_EQ(model->parameters().front().shape(), (Shape{64, 1, 3, 3}));
}

TEST(MlpTest, MapsSamplesToLogits) {
  CpuDevice device;
  const Mlp mlp({.inputs = 6, .hidden = {5, 4}, .classes = 3, .activation = Activation::kRelu, .dropout = 0.0});
  EXPECT_EQ(mlp.parameters().size(), 6U);
  EXPECT_EQ(mlp.parameters()[0].name(), "layers.0.weight");
  for (const Parameter& parameter : mlp.parameters()) {
    parameter.bind(Tensor::zeros({DType::kF32, parameter.shape(), &device}));
    parameter.initialize(1);
  }
  const Recorder recorder(device, {}, Recorder::Tape::kOff);
  const Tensor logits = mlp.logits(Tensor::zeros({DType::kF32, {7, 2, 3}, &device}), Mode::kInfer);
  EXPECT_EQ(logits.shape(), (Shape{7, 3}));
}

}  // namespace
}  // namespace convoy
