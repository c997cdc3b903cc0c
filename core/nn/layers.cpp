#include "core/nn/layers.h"

#include "core/ops/index.h"
#include "core/ops/norm.h"

namespace convoy {

Linear::Linear(const ParameterScope& scope, std::int64_t in, std::int64_t out, double deviation, Activation activation,
               bool bias)
    : weight_(scope.add("weight", {in, out}, Initializer::normal(deviation), ParameterGroup::kDecay)),
      activation_(activation) {
  if (bias) bias_ = scope.add("bias", {out}, Initializer::constant(0.0), ParameterGroup::kNoDecay);
}

LayerNorm::LayerNorm(const ParameterScope& scope, std::int64_t width)
    : weight_(scope.add("weight", {width}, Initializer::constant(1.0), ParameterGroup::kNoDecay)),
      bias_(scope.add("bias", {width}, Initializer::constant(0.0), ParameterGroup::kNoDecay)) {}

Tensor LayerNorm::operator()(const Tensor& x) const { return layer_norm(x, weight_.value(), bias_.value()); }

RmsNorm::RmsNorm(const ParameterScope& scope, std::int64_t width)
    : weight_(scope.add("weight", {width}, Initializer::constant(1.0), ParameterGroup::kNoDecay)) {}

Tensor RmsNorm::operator()(const Tensor& x) const { return rms_norm(x, weight_.value()); }

Embedding::Embedding(const ParameterScope& scope, std::int64_t entries, std::int64_t width, double deviation)
    : weight_(scope.add("weight", {entries, width}, Initializer::normal(deviation), ParameterGroup::kDecay)) {}

Tensor Embedding::operator()(const Tensor& ids, DType dtype) const { return embedding(weight_.value(), ids, dtype); }

}  // namespace convoy
