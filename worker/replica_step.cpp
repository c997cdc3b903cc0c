// The functions that a step is made of.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "core/graph/apply.h"
#include "core/graph/backward.h"
#include "core/graph/recorder.h"
#include "core/ops/batch_norm.h"
#include "core/ops/elementwise.h"
#include "worker/replica.h"

namespace convoy::worker {
namespace {

// Results of the gradient; behind them, what each parameter is handed over.
enum : std::size_t { kLoss, kCount, kFirstParameter };

}  // namespace

Tensor Replica::inputs_of(const Tensor& inputs) const {
  return is_floating(inputs.dtype()) ? cast(inputs, activations_) : inputs;
}

StepFunction Replica::function(std::string name, std::vector<std::string> inputs, StepFunction::Body body) const {
  const auto declare = [this](Capture& capture) {
    for (const Parameter& parameter : model_->parameters()) capture.state(parameter.name(), parameter.value());
  };
  return {.name = std::move(name), .inputs = std::move(inputs), .declare = declare, .body = std::move(body)};
}

void Replica::run(const StepFunction& function, const StepKey& key, std::span<const Tensor> inputs,
                  const StepFunction::OnResult& on_result) {
  if (is_static_) {
    plans_.run(function, key, inputs, on_result);
  } else {
    run_dynamic(function, device_, key, inputs, on_result);
  }
}

void Replica::capture_step(std::span<const Spec> batch, float* reduced) {
  if (!is_static_) return;
  use_reduced(reduced);
  plans_.plan(gradient_, batch);
  plans_.plan(squares_, {});
  const auto factors = static_cast<std::int64_t>(optimizer_->factors(1, {}).size());
  plans_.plan(update_, Specs{{DType::kF64, {factors}, &device_}, {DType::kF64, {1}, &device_}});
}

void Replica::place_gradients(std::span<const Spec> batch, float* arena) {
  if (!is_static_) return;
  const Tensor gradients = Tensor::borrow({DType::kF32, {layout_.elements()}, &device_}, arena, nullptr);
  plans_.place_results(gradient_, batch, [&](std::size_t result) {
    return result < kFirstParameter ? Tensor() : arena_view(gradients, result - kFirstParameter);
  });
  placed_in_ = arena;
}

void Replica::capture(const StepFunction& function, std::span<const Spec> inputs) {
  if (is_static_) plans_.plan(function, inputs);
}

void Replica::give_gradient(std::span<const Tensor> inputs, const StepFunction::Give& give) const {
  const Loss loss = model_->training_step(inputs_of(inputs[0]), inputs[1]);
  give(kLoss, "loss", loss.sum);
  give(kCount, "count", loss.count);
  const auto hand_over = [&](std::size_t parameter, const Tensor& sum) {
    give(kFirstParameter + parameter, model_->parameters()[parameter].name(), sum);
  };
  for (const Emission& emission : Recorder::current().emissions())
    hand_over(index_of(emission), contiguous(emission.contribution));
  backward(loss.sum, leaves_,
           [&](std::size_t leaf, const Tensor& gradient) { hand_over(leaf_indices_[leaf], gradient); });
}

std::optional<Reduction> Replica::reduction_of(std::size_t result) const {
  if (result < kFirstParameter) return {};
  return Reduction{.axis = "data", .bucket = static_cast<std::int32_t>(layout_.bucket_of(result - kFirstParameter))};
}

distributed::LossSums Replica::gradient(const StepKey& key, const Batch& batch,
                                        const std::function<void(std::size_t, std::span<const float>)>& on_gradient,
                                        const float* into) {
  handed_over_.assign(layout_.parameters().size(), false);
  distributed::LossSums sums;
  const auto take = [&](std::size_t result, const Tensor& value) {
    if (result == kLoss) {
      sums.loss = value.item();
    } else if (result == kCount) {
      sums.count = value.item();
    } else {
      handed_over_[result - kFirstParameter] = true;
      on_gradient(result - kFirstParameter, {value.data<float>(), static_cast<std::size_t>(value.elements())});
    }
  };
  const std::array inputs{batch.inputs, batch.targets};
  if (into != nullptr && into == placed_in_) {
    plans_.run_placed(gradient_, key, inputs, take);
  } else {
    run(gradient_, key, inputs, take);
  }
  for (std::size_t i = 0; i < handed_over_.size(); ++i) {
    if (handed_over_[i]) continue;
    const auto elements = static_cast<std::size_t>(layout_.parameters()[i].elements);
    zeros_.resize(std::max(zeros_.size(), elements));
    on_gradient(i, std::span(zeros_).first(elements));
  }
  return sums;
}

std::vector<double> Replica::chunk_squares(float* reduced) {
  use_reduced(reduced);
  std::vector<double> squares;
  run(squares_, {}, {}, [&](std::size_t, const Tensor& value) { squares = value.to_vector<double>(); });
  return squares;
}

void Replica::update(std::int64_t step, float* reduced, const UpdateFactors& factors) {
  use_reduced(reduced);
  const std::vector<double> numbers = optimizer_->factors(step, factors);
  const std::array inputs{Tensor::of<double>(device_, {static_cast<std::int64_t>(numbers.size())}, numbers),
                          Tensor::of<double>(device_, {1}, std::array{factors.apply ? 1.0 : 0.0})};
  run(update_, {.seed = seed_, .step = step, .shard = 0}, inputs, [](std::size_t, const Tensor&) {});
}

void Replica::declare_update(Capture& capture) const {
  for (std::size_t i = 0; i < slices_.size(); ++i) {
    const auto declare = [&](const std::string& what, const Tensor& tensor) {
      capture.state(fmt::format("bucket {} {}", i, what), tensor);
    };
    declare("parameters", slices_[i].values);
    declare("gradient", slices_[i].gradient);
    for (std::size_t k = 0; k < moments_.size(); ++k) declare(optimizer_->moments()[k], slices_[i].moments[k]);
  }
  for (std::size_t i = 0; i < statistics_sums_.size(); ++i) {
    if (!is_statistic(i)) continue;
    capture.state(layout_.parameters()[i].name, parameter(i));
    capture.state(layout_.parameters()[i].name + " contribution", statistics_sums_[i]);
  }
}

void Replica::apply_update(const Tensor& factors, const Tensor& apply) const {
  const TapePause pause;
  const PhaseScope phase(Phase::kUpdate);
  for (const RunningStatistics& s : statistics_) {
    update_running_statistics({.momentum = RunningStatistics::kMomentum}, parameter(s.mean), parameter(s.variance),
                              parameter(s.updates), statistics_sums_[s.mean], statistics_sums_[s.variance],
                              statistics_sums_[s.updates], apply);
  }
  for (const ParameterSlice& slice : slices_) optimizer_->update(factors, slice);
}

}  // namespace convoy::worker
