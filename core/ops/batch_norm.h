// Batch normalisation (Ioffe & Szegedy 2015) of [..., C] tensors: over all rows, channel by channel.
#pragma once

#include "core/graph/op.h"
#include "core/tensor/tensor.h"

namespace convoy {

struct BatchNormAttributes {
  double epsilon = 1e-5;
  bool relu = false;  // of the result, in the same pass
};

// What a training pass gives. `sum` and `squares` [C] are Σ(x - shift) and Σ(x - shift)² over the rows: what running
// statistics are made of, once those of all shards are added up. They carry no gradient.
struct BatchNormResult {
  Tensor y;
  Tensor sum;
  Tensor squares;
};

// y = relu?((x - mean) / sqrt(variance + epsilon) · weight + bias + residual) with the mean and the (biased) variance
// of x itself. x f32, f64 or bf16 [..., C]; weight, bias and shift [C], like all that belongs to a channel f32 beside
// bf16; the residual like x, or undefined for none. Where there are no rows, y is empty and the sums are zero. Sums run
// over blocks of rows, added up in fp64.
BatchNormResult batch_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& shift,
                           const Tensor& residual, const BatchNormAttributes& attributes);

// Its gradients dx, dweight, dbias and, where `y` is given, dresidual: from the mean and 1/deviation [C] that the pass
// found. `y` is needed where relu came after a residual. Not differentiable again.
Tensors batch_norm_backward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& mean,
                            const Tensor& rstd, const Tensor& dy, const Tensor& y, bool relu);

// The same as batch_norm with given mean and variance [C]: what a model that is not trained applies. Not
// differentiable.
Tensor batch_norm_inference(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& mean,
                            const Tensor& variance, const Tensor& residual, const BatchNormAttributes& attributes);

struct RunningStatisticsAttributes {
  double momentum = 0.1;  // of the new value
};

// Moves running statistics, in place: mean and variance [C] and the number of updates [1], by the sums of all shards
// relative to `mean` as it was, and their count of rows [1]; all of one dtype, f32 or f64. The variance is the unbiased
// one. Without rows, or where apply is 0 (f64 [1]), everything stays as it is.
void update_running_statistics(const RunningStatisticsAttributes& attributes, const Tensor& mean,
                               const Tensor& variance, const Tensor& updates, const Tensor& sum, const Tensor& squares,
                               const Tensor& count, const Tensor& apply);
// The rule as an operator: the tensors above in turn → (mean, variance, updates).
OpPtr running_statistics_op(const RunningStatisticsAttributes& attributes);

}  // namespace convoy
