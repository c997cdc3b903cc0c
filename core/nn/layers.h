// The layers models are made of: plain classes that hold parameters and apply ops. Shapes: [...] is any number of
// leading dimensions.
#pragma once

#include <optional>

#include "core/nn/parameter.h"
#include "core/ops/matmul.h"

namespace convoy {

// [..., in] → [..., out]; weight [in, out], bias [out] or none.
class Linear {
 public:
  Linear(const ParameterScope& scope, std::int64_t in, std::int64_t out, double deviation,
         Activation activation = Activation::kNone, bool bias = true);
  Tensor operator()(const Tensor& x) const {
    return linear(x, weight_.value(), bias_ ? bias_->value() : Tensor(), activation_);
  }

 private:
  Parameter weight_;
  std::optional<Parameter> bias_;
  Activation activation_;
};

// Normalises the last dimension (Ba et al. 2016).
class LayerNorm {
 public:
  LayerNorm(const ParameterScope& scope, std::int64_t width);
  Tensor operator()(const Tensor& x) const;

 private:
  Parameter weight_;
  Parameter bias_;
};

// Divides the last dimension by its root mean square (Zhang & Sennrich 2019).
class RmsNorm {
 public:
  RmsNorm(const ParameterScope& scope, std::int64_t width);
  Tensor operator()(const Tensor& x) const;

 private:
  Parameter weight_;
};

// i32 [...] → [..., width], f32 or rounded to another dtype; weight [entries, width].
class Embedding {
 public:
  Embedding(const ParameterScope& scope, std::int64_t entries, std::int64_t width, double deviation);
  Tensor operator()(const Tensor& ids, DType dtype = DType::kF32) const;
  const Parameter& weight() const { return weight_; }

 private:
  Parameter weight_;
};

}  // namespace convoy
