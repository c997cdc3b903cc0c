#include "core/nn/mlp.h"

#include <cmath>
#include <string>

#include "core/graph/recorder.h"
#include "core/ops/random.h"
#include "core/ops/view.h"

namespace convoy {

Mlp::Mlp(const MlpOptions& options) : options_(options) {
  std::int64_t in = options.inputs;
  const ParameterScope scope(parameters_, "layers");
  for (std::size_t i = 0; i <= options.hidden.size(); ++i) {
    const bool last = i == options.hidden.size();
    const std::int64_t out = last ? options.classes : options.hidden[i];
    // He et al. 2015: keeps the variance through rectified layers; half of it where no activation follows.
    const double deviation = std::sqrt((last ? 1.0 : 2.0) / static_cast<double>(in));
    layers_.emplace_back(scope / std::to_string(i), in, out, deviation, last ? Activation::kNone : options.activation);
    in = out;
  }
}

Tensor Mlp::logits(const Tensor& inputs, Mode mode) const {
  Tensor x = reshape(inputs, {inputs.shape()[0], options_.inputs});
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const BlockScope block;
    x = layers_[i](x);
    if (mode == Mode::kTrain && i + 1 < layers_.size()) x = dropout(x, options_.dropout);
  }
  return x;
}

}  // namespace convoy
