// Convolutions on raw memory, made ready to run: what core/ops/conv.cpp runs. Images are nhwc, weights [O, C/groups,
// kh, kw]. Bits depend on the problem alone, never on the number of threads.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/device/cpu_device.h"
#include "core/device/scratch.h"
#include "core/graph/prepared_call.h"
#include "core/tensor/bfloat16.h"
#include "core/tensor/derived_forms.h"

namespace convoy {

// All extents ≥ 1 but `n`, which may be 0.
struct ConvProblem {
  std::int64_t n = 0;
  std::int64_t c = 0;                      // input channels
  std::int64_t o = 0;                      // output channels
  std::array<std::int64_t, 2> in{};        // height and width of x
  std::array<std::int64_t, 2> out{};       // of y
  std::array<std::int64_t, 2> kernel{};    // of the weights
  std::array<std::int64_t, 2> stride{};    //
  std::array<std::int64_t, 2> padding{};   // on each side
  std::array<std::int64_t, 2> dilation{};  // 1: none
  std::int64_t groups = 1;

  std::int64_t x_image() const { return in[0] * in[1] * c; }  // elements of one image
  std::int64_t y_image() const { return out[0] * out[1] * o; }
  std::int64_t weights() const { return o * (c / groups) * kernel[0] * kernel[1]; }

  bool operator==(const ConvProblem&) const = default;
};

// f32 weights, which bf16 images meet rounded to bf16. Where they are state, `forms` keeps what kernels make of them
// until they are written.
struct ConvWeights {
  const float* data = nullptr;
  DerivedForms* forms = nullptr;
  std::int64_t offset = 0;  // of `data` in its storage, in elements
};

// bf16 images are convolved with fp32 sums: by oneDNN's bf16 kernels (CpuDevice::native_bf16), or by its f32 kernels on
// pieces that are widened before and rounded behind, which is many times as fast where the processor knows no bf16.
//
// `bias` may be null.
PreparedPtr prepare_conv2d(CpuDevice& device, Scratch& scratch, const ConvProblem& problem, const float* x,
                           const ConvWeights& weights, const float* bias, float* y);
PreparedPtr prepare_conv2d(CpuDevice& device, Scratch& scratch, const ConvProblem& problem, const bfloat16* x,
                           const ConvWeights& weights, const float* bias, bfloat16* y);
PreparedPtr prepare_conv2d(CpuDevice& device, Scratch& scratch, const ConvProblem& problem, const double* x,
                           const double* weight, const double* bias, double* y);

// The gradient with respect to x.
PreparedPtr prepare_conv2d_backward_data(CpuDevice& device, Scratch& scratch, const ConvProblem& problem,
                                         const float* dy, const ConvWeights& weights, float* dx);
PreparedPtr prepare_conv2d_backward_data(CpuDevice& device, Scratch& scratch, const ConvProblem& problem,
                                         const bfloat16* dy, const ConvWeights& weights, bfloat16* dx);
PreparedPtr prepare_conv2d_backward_data(CpuDevice& device, Scratch& scratch, const ConvProblem& problem,
                                         const double* dy, const double* weight, double* dx);

// The gradient with respect to the weights.
PreparedPtr prepare_conv2d_backward_weights(CpuDevice& device, Scratch& scratch, const ConvProblem& problem,
                                            const float* x, const float* dy, float* dw);
PreparedPtr prepare_conv2d_backward_weights(CpuDevice& device, Scratch& scratch, const ConvProblem& problem,
                                            const bfloat16* x, const bfloat16* dy, float* dw);
PreparedPtr prepare_conv2d_backward_weights(CpuDevice& device, Scratch& scratch, const ConvProblem& problem,
                                            const double* x, const double* dy, double* dw);

}  // namespace convoy
