#include "core/nn/convolution.h"

#include <cmath>

namespace convoy {

Convolution::Convolution(const ParameterScope& scope, const ConvolutionOptions& options)
    : weight_(scope.add(
          "weight", {options.out, options.in, options.kernel, options.kernel},
          Initializer::normal(std::sqrt(2.0 / static_cast<double>(options.out * options.kernel * options.kernel))),
          ParameterGroup::kDecay)),
      attributes_{.stride = {options.stride, options.stride}, .padding = {options.padding, options.padding}} {}

}  // namespace convoy
