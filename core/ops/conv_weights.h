// What convolutions make of their weights before they multiply: blocked, turned, tap by tap, rounded to bf16.
#pragma once

#include <cstddef>
#include <string_view>

#include "core/ops/conv_kernels.h"
#include "core/tensor/derived_forms.h"

namespace convoy {

// Memory for what a kernel makes of its weights: kept with weights that are state, otherwise scratch.
class WeightForm {
 public:
  // `format`, a literal, and `layout` tell a form from others of the same weights.
  WeightForm(Scratch& scratch, const ConvProblem& p, const ConvWeights& weights, std::string_view format,
             std::int64_t layout, std::size_t bytes)
      : forms_(weights.forms) {
    if (forms_ == nullptr) {
      own_ = scratch.take(bytes);
      return;
    }
    form_ = &forms_->form({.offset = weights.offset,
                           .rows = p.o,
                           .columns = p.weights() / p.o,
                           .row_stride = p.kernel[0] * p.kernel[1],
                           .column_stride = layout,
                           .format = format},
                          bytes);
  }

  // Its contents, up to date: make(memory) makes them where they are not.
  template <typename Make>
  const void* get(const Make& make) const {
    if (forms_ != nullptr) return forms_->get(*form_, make);
    make(own_);
    return own_;
  }

 private:
  DerivedForms* forms_;
  DerivedForms::Form* form_ = nullptr;
  void* own_ = nullptr;
};

// [O, C, taps] → [C, O, taps in reverse]: the weights of the convolution of dy that gives dx.
void turn_weights(CpuDevice& device, const ConvProblem& p, const float* from, float* to);

// [O, C, taps] → [taps, O, C], and back.
void to_taps(CpuDevice& device, const ConvProblem& p, const float* from, float* to);
void from_taps(CpuDevice& device, const ConvProblem& p, const float* from, float* to);

// To what bf16 holds; `to` may be `from`.
void round_weights(CpuDevice& device, const ConvProblem& p, const float* from, float* to);

}  // namespace convoy
