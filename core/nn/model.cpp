#include "core/nn/model.h"

#include "core/base/error.h"
#include "core/nn/gpt.h"
#include "core/nn/mlp.h"

namespace convoy {

std::unique_ptr<Model> make_model(const ModelRecipe& recipe, const SampleSpec& sample) {
  const bool tokens = sample.dtype == DType::kI32;
  if (recipe.kind == "gpt") {
    if (!tokens)
      fail(ErrorCode::kUsage, "model.kind = \"gpt\" reads tokens, but data.kind = \"{}\" gives {} {}", sample.data_kind,
           name_of(sample.dtype), sample.shape.to_string());
    return std::make_unique<Gpt>(GptOptions{.layers = recipe.layers,
                                            .heads = recipe.heads,
                                            .width = recipe.width,
                                            .context = sample.shape[0],
                                            .vocabulary = sample.classes,
                                            .dropout = recipe.dropout});
  }
  if (recipe.kind == "mlp") {
    if (tokens)
      fail(ErrorCode::kUsage, "model.kind = \"mlp\" reads numbers, but data.kind = \"{}\" gives tokens",
           sample.data_kind);
    return std::make_unique<Mlp>(MlpOptions{.inputs = sample.shape.elements(),
                                            .hidden = recipe.hidden,
                                            .classes = sample.classes,
                                            .activation = recipe.activation == "gelu" ? Activation::kGelu : Activation::kRelu,
                                            .dropout = recipe.dropout});
  }
  fail(ErrorCode::kUsage, "model.kind: there is no model \"{}\"", recipe.kind);
}

}  // namespace convoy
