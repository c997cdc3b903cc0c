// Batch normalisation as a layer, and the running statistics that it keeps.
//
// A training pass normalises with the statistics of its own logical shard and emits what it contributes to the running
// ones (Recorder::emit); only the update of a step writes those, once, from the sums over all shards.
#pragma once

#include <cstddef>
#include <vector>

#include "core/nn/model.h"
#include "core/nn/parameter.h"

namespace convoy {

// [..., width]; weight and bias [width]; running_mean and running_var [width] and num_batches_tracked [1] in the group
// of statistics. Epsilon is 1e-5.
class BatchNorm {
 public:
  // `gain`: what the weight starts at.
  BatchNorm(const ParameterScope& scope, std::int64_t width, double gain = 1.0);
  // relu?(normalised x (+ residual)) in one pass.
  Tensor operator()(const Tensor& x, Mode mode, bool relu, const Tensor& residual = {}) const;

 private:
  Parameter weight_;
  Parameter bias_;
  Parameter mean_;
  Parameter variance_;
  Parameter updates_;
};

// The running statistics of one layer, as indices into the model's parameters. What is emitted for them: the sums of
// x - mean and of its squares, and the number of rows.
struct RunningStatistics {
  std::size_t mean = 0;
  std::size_t variance = 0;
  std::size_t updates = 0;

  static constexpr double kMomentum = 0.1;  // of the new value
};

// All of a model's, found by their names. Throws Error(kInternal) for statistics that no BatchNorm declared.
std::vector<RunningStatistics> running_statistics_of(const Parameters& parameters);

}  // namespace convoy
