// Convolutions as matrix products, one for each tap of the kernel: for images of few pixels and many channels, where
// oneDNN's convolutions find no long rows to work on and much of the padded kernel meets zeros, which are left out
// here. Images are f32, or bf16 that are widened as they are packed.
#pragma once

#include "core/ops/conv_kernels.h"

namespace convoy {

// Whether the passes below are the canonical ones for this problem: the first two, and the last.
bool goes_by_taps(const ConvProblem& problem);
bool sums_by_taps(const ConvProblem& problem);

template <typename T>
PreparedPtr conv2d_by_taps(CpuDevice& device, Scratch& scratch, const ConvProblem& problem, const T* x,
                           const ConvWeights& weights, const float* bias, T* y);
template <typename T>
PreparedPtr conv2d_backward_data_by_taps(CpuDevice& device, Scratch& scratch, const ConvProblem& problem, const T* dy,
                                         const ConvWeights& weights, T* dx);
template <typename T>
PreparedPtr conv2d_backward_weights_by_taps(CpuDevice& device, Scratch& scratch, const ConvProblem& problem, const T* x,
                                            const T* dy, float* dw);

}  // namespace convoy
