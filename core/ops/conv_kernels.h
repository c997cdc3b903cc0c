// Convolutions on raw memory: what core/ops/conv.cpp runs. Images are nhwc, weights [O, C/groups, kh, kw]. Bits depend
// on the problem alone, never on the number of threads.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/device/cpu_device.h"

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
};

// Only from the thread that runs the device's kernels. `bias` may be null.
void conv2d_kernel(CpuDevice& device, const ConvProblem& problem, const float* x, const float* weight,
                   const float* bias, float* y);
void conv2d_kernel(CpuDevice& device, const ConvProblem& problem, const double* x, const double* weight,
                   const double* bias, double* y);

// The gradient with respect to x.
void conv2d_backward_data_kernel(CpuDevice& device, const ConvProblem& problem, const float* weight, const float* dy,
                                 float* dx);
void conv2d_backward_data_kernel(CpuDevice& device, const ConvProblem& problem, const double* weight, const double* dy,
                                 double* dx);

// The gradient with respect to the weights.
void conv2d_backward_weights_kernel(CpuDevice& device, const ConvProblem& problem, const float* x, const float* dy,
                                    float* dw);
void conv2d_backward_weights_kernel(CpuDevice& device, const ConvProblem& problem, const double* x, const double* dy,
                                    double* dw);

}  // namespace convoy
