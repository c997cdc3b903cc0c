// What convolutions make of their weights before they multiply: blocked, turned, tap by tap, rounded to bf16.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "core/ops/conv_kernels.h"
#include "core/tensor/tensor.h"

namespace convoy {

// What make(memory) leaves in `bytes` of memory: kept with weights that are state, otherwise as long as this lives.
class WeightForm {
 public:
  // `format`, a literal, and `layout` tell a form from others of the same weights.
  template <typename Make>
  WeightForm(CpuDevice& device, const ConvProblem& p, const ConvWeights& weights, std::string_view format,
             std::int64_t layout, std::size_t bytes, const Make& make) {
    if (weights.forms != nullptr) {
      const DerivedForms::Key key{.offset = weights.offset,
                                  .rows = p.o,
                                  .columns = p.weights() / p.o,
                                  .row_stride = p.kernel[0] * p.kernel[1],
                                  .column_stride = layout,
                                  .format = format};
      data_ = weights.forms->get(key, bytes, make);
    } else {
      own_.emplace(device, bytes);
      make(own_->data());
      data_ = own_->data();
    }
  }
  const void* data() const { return data_; }

 private:
  std::optional<Storage> own_;
  const void* data_;
};

// [O, C, taps] → [C, O, taps in reverse]: the weights of the convolution of dy that gives dx.
void turn_weights(CpuDevice& device, const ConvProblem& p, const float* from, float* to);

// [O, C, taps] → [taps, O, C], and back.
void to_taps(CpuDevice& device, const ConvProblem& p, const float* from, float* to);
void from_taps(CpuDevice& device, const ConvProblem& p, const float* from, float* to);

// To what bf16 holds; `to` may be `from`.
void round_weights(CpuDevice& device, const ConvProblem& p, const float* from, float* to);

}  // namespace convoy
