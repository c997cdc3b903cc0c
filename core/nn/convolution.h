// A convolution as a layer.
#pragma once

#include "core/nn/parameter.h"
#include "core/ops/conv.h"

namespace convoy {

struct ConvolutionOptions {
  std::int64_t in = 0;   // channels
  std::int64_t out = 0;  // channels
  std::int64_t kernel = 1;
  std::int64_t stride = 1;
  std::int64_t padding = 0;
};

// [batch, height, width, in] → [batch, height', width', out]; weight [out, in, kernel, kernel], no bias. Starts from a
// normal distribution that keeps the variance of gradients through rectified layers (He et al. 2015, fan out).
class Convolution {
 public:
  Convolution(const ParameterScope& scope, const ConvolutionOptions& options);
  Tensor operator()(const Tensor& x) const { return conv2d(x, weight_.value(), {}, attributes_); }

 private:
  Parameter weight_;
  Conv2dAttributes attributes_;
};

}  // namespace convoy
