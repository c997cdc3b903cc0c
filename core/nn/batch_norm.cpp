#include "core/nn/batch_norm.h"

#include <array>
#include <string>
#include <string_view>

#include "core/base/error.h"
#include "core/graph/recorder.h"
#include "core/ops/batch_norm.h"
#include "core/ops/elementwise.h"

namespace convoy {
namespace {

// As PyTorch names them, in the order in which a layer declares them.
constexpr std::array<std::string_view, 3> kNames = {"running_mean", "running_var", "num_batches_tracked"};

Parameter add_statistic(const ParameterScope& scope, std::size_t which, std::int64_t elements, double start) {
  return scope.add(kNames[which], {elements}, Initializer::constant(start), ParameterGroup::kStatistics);
}

}  // namespace

BatchNorm::BatchNorm(const ParameterScope& scope, std::int64_t width, double gain)
    : weight_(scope.add("weight", {width}, Initializer::constant(gain), ParameterGroup::kNoDecay)),
      bias_(scope.add("bias", {width}, Initializer::constant(0.0), ParameterGroup::kNoDecay)),
      mean_(add_statistic(scope, 0, width, 0.0)),
      variance_(add_statistic(scope, 1, width, 1.0)),
      updates_(add_statistic(scope, 2, 1, 0.0)) {}

Tensor BatchNorm::operator()(const Tensor& x, Mode mode, bool relu, const Tensor& residual) const {
  const BatchNormAttributes attributes{.relu = relu};
  if (mode == Mode::kInfer)
    return batch_norm_inference(x, weight_.value(), bias_.value(), mean_.value(), variance_.value(), residual,
                                attributes);
  const BatchNormResult result = batch_norm(x, weight_.value(), bias_.value(), mean_.value(), residual, attributes);
  const auto rows = static_cast<double>(x.elements() / x.shape()[-1]);
  Recorder& recorder = Recorder::current();
  recorder.emit(mean_.value(), result.sum);
  recorder.emit(variance_.value(), result.squares);
  const TapePause pause;
  recorder.emit(updates_.value(), scale(ones_like(updates_.value()), rows));
  return result.y;
}

std::vector<RunningStatistics> running_statistics_of(const Parameters& parameters) {
  std::vector<RunningStatistics> result;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (parameters[i].group() != ParameterGroup::kStatistics) continue;
    for (std::size_t k = 0; k < kNames.size(); ++k) {
      if (i + k >= parameters.size() || !parameters[i + k].name().ends_with(kNames[k]))
        fail(ErrorCode::kInternal, "parameter {}: expected running statistics as BatchNorm declares them",
             parameters[i].name());
    }
    result.push_back({.mean = i, .variance = i + 1, .updates = i + 2});
    i += 2;
  }
  return result;
}

}  // namespace convoy
