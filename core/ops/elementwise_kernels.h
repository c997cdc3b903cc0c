// Elementwise kernels on raw spans, for fusing into other kernels chunk by chunk: the bits are those of the operators
// of the same name, however a tensor is cut into spans. One thread; any alignment; the output may be an input.
#pragma once

#include <cstdint>

namespace convoy {

void gelu_forward_kernel(const float* z, float* y, std::int64_t n);
void gelu_forward_kernel(const double* z, double* y, std::int64_t n);
void gelu_backward_kernel(const float* z, const float* dy, float* dz, std::int64_t n);
void gelu_backward_kernel(const double* z, const double* dy, double* dz, std::int64_t n);

void relu_forward_kernel(const float* z, float* y, std::int64_t n);
void relu_forward_kernel(const double* z, double* y, std::int64_t n);

void add_kernel(const float* a, const float* b, float* sum, std::int64_t n);
void add_kernel(const double* a, const double* b, double* sum, std::int64_t n);

}  // namespace convoy
