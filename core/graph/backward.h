// Reverse-mode differentiation over what the current recorder recorded.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "core/tensor/tensor.h"

namespace convoy {

// Called with the index of a parameter and its gradient (parameter's shape and dtype) as soon as that gradient is
// final: while the rest of the backward pass is still to run, so that its reduction can start.
using OnGradient = std::function<void(std::size_t parameter, const Tensor& gradient)>;

// Differentiates the one-element tensor `loss` with respect to `parameters`, which are leaves of the recording (each
// listed once). A parameter that the loss does not depend on is not reported. Consumes the tape: values are freed as
// the pass goes by, and a second call finds nothing. Gradients of a value that is used several times are added from
// the last use to the first, so the order is the program's own.
void backward(const Tensor& loss, std::span<const Tensor> parameters, const OnGradient& on_gradient);

}  // namespace convoy
