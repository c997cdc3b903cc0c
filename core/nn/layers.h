// The layers models are made of: plain classes that hold parameters and apply ops. Shapes: [...] is any number of
// leading dimensions.
#pragma once

#include "core/nn/parameter.h"
#include "core/ops/matmul.h"

namespace convoy {

// [..., in] → [..., out]; weight [in, out], bias [out].
class Linear {
 public:
  Linear(const ParameterScope& scope, std::int64_t in, std::int64_t out, double deviation,
         Activation activation = Activation::kNone);
  Tensor operator()(const Tensor& x) const { return linear(x, weight_.value(), bias_.value(), activation_); }

 private:
  Parameter weight_;
  Parameter bias_;
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

// i32 [...] → [..., width]; weight [entries, width].
class Embedding {
 public:
  Embedding(const ParameterScope& scope, std::int64_t entries, std::int64_t width, double deviation);
  Tensor operator()(const Tensor& ids) const;
  const Parameter& weight() const { return weight_; }

 private:
  Parameter weight_;
};

}  // namespace convoy
