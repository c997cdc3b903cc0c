#include "core/nn/model.h"

#include "core/base/error.h"
#include "core/nn/gpt.h"
#include "core/nn/mlp.h"
#include "core/nn/resnet.h"

namespace convoy {

DType activation_dtype(const TrainRecipe& recipe) { return recipe.precision == "bf16" ? DType::kBF16 : DType::kF32; }

std::unique_ptr<Model> make_model(const ModelRecipe& recipe, const TaskSpec& task) {
  const bool tokens = task.dtype == DType::kI32;
  if (recipe.kind == "gpt") {
    if (!tokens)
      fail(ErrorCode::kUsage, "model.kind: \"gpt\" reads tokens, but data.kind = \"{}\" gives {} {}", task.data_kind,
           name_of(task.dtype), task.shape.to_string());
    return std::make_unique<Gpt>(
        GptOptions{.layers = recipe.layers,
                   .heads = recipe.heads,
                   .width = recipe.width,
                   .context = task.shape[0],
                   .vocabulary = task.classes,
                   .dropout = recipe.dropout,
                   .kv_heads = recipe.kv_heads,
                   .mlp_width = recipe.mlp_width,
                   .norm = recipe.norm == "rms" ? GptNorm::kRms : GptNorm::kLayer,
                   .activation = recipe.activation == "swiglu" ? GptActivation::kSwiglu : GptActivation::kGelu,
                   .positions = recipe.positions == "rotary" ? GptPositions::kRotary : GptPositions::kLearned,
                   .rope_theta = recipe.rope_theta,
                   .own_head = recipe.head == "own",
                   .bias = recipe.bias,
                   .activations = task.activations});
  }
  if (recipe.kind == "mlp") {
    if (tokens)
      fail(ErrorCode::kUsage, "model.kind: \"mlp\" reads numbers, but data.kind = \"{}\" gives tokens", task.data_kind);
    return std::make_unique<Mlp>(
        MlpOptions{.inputs = task.shape.elements(),
                   .hidden = recipe.hidden,
                   .classes = task.classes,
                   .activation = recipe.activation == "gelu" ? Activation::kGelu : Activation::kRelu,
                   .dropout = recipe.dropout});
  }
  if (recipe.kind == "resnet") {
    if (tokens || task.shape.rank() != 3)
      fail(ErrorCode::kUsage, "model.kind: \"resnet\" reads pictures, but data.kind = \"{}\" gives {} {}",
           task.data_kind, name_of(task.dtype), task.shape.to_string());
    return std::make_unique<ResNet>(ResNetOptions{.layers = recipe.layers,
                                                  .width = recipe.width,
                                                  .channels = task.shape[2],
                                                  .classes = task.classes,
                                                  .small_stem = ResNet::small_stem(recipe.stem, task.shape),
                                                  .residual_gain = recipe.residual_gain});
  }
  fail(ErrorCode::kUsage, "model.kind: there is no model \"{}\"", recipe.kind);
}

}  // namespace convoy
