// Elementwise kernels on raw spans, for the operators of elementwise.h and for fusing into other kernels chunk by
// chunk: an element's bits do not depend on how a tensor is cut into spans. One thread; any alignment; the output may
// be an input.
#pragma once

#include <cstdint>

#include "core/tensor/bfloat16.h"

namespace convoy {

enum class UnaryKind : std::uint8_t {
  kNeg,
  kExp,
  kLog,
  kSqrt,
  kTanh,
  kRelu,
  kGelu,
  kSilu,
  kSquare,
  kScale,
  kAddScalar
};
enum class BinaryKind : std::uint8_t {
  kAdd,
  kSub,
  kMul,
  kDiv,
  kMaximum,
  kGreaterEqual,
  kGeluBackward,  // (x, dy)
  kSiluBackward,  // (x, dy)
  kReluBackward,  // (y, dy)
};

// `parameter` is the factor of kScale and the addend of kAddScalar.
void unary_kernel(UnaryKind kind, const float* x, float* y, std::int64_t n, double parameter = 0);
void unary_kernel(UnaryKind kind, const double* x, double* y, std::int64_t n, double parameter = 0);
void unary_kernel(UnaryKind kind, const bfloat16* x, bfloat16* y, std::int64_t n, double parameter = 0);

// Steps are 1, or 0 for an operand that is one element repeated.
void binary_kernel(BinaryKind kind, const float* a, std::int64_t a_step, const float* b, std::int64_t b_step, float* y,
                   std::int64_t n);
void binary_kernel(BinaryKind kind, const double* a, std::int64_t a_step, const double* b, std::int64_t b_step,
                   double* y, std::int64_t n);
void binary_kernel(BinaryKind kind, const bfloat16* a, std::int64_t a_step, const bfloat16* b, std::int64_t b_step,
                   bfloat16* y, std::int64_t n);

// Adds x to sums, which for bf16 are f32.
void accumulate_kernel(const float* x, float* sums, std::int64_t n);
void accumulate_kernel(const double* x, double* sums, std::int64_t n);
void accumulate_kernel(const bfloat16* x, float* sums, std::int64_t n);

void convert_kernel(const bfloat16* x, float* y, std::int64_t n);
void convert_kernel(const float* x, bfloat16* y, std::int64_t n);

template <typename T>
void gelu_forward_kernel(const T* z, T* y, std::int64_t n) {
  unary_kernel(UnaryKind::kGelu, z, y, n);
}
template <typename T>
void gelu_backward_kernel(const T* z, const T* dy, T* dz, std::int64_t n) {
  binary_kernel(BinaryKind::kGeluBackward, z, 1, dy, 1, dz, n);
}
template <typename T>
void relu_forward_kernel(const T* z, T* y, std::int64_t n) {
  unary_kernel(UnaryKind::kRelu, z, y, n);
}
template <typename T>
void add_kernel(const T* a, const T* b, T* y, std::int64_t n) {
  binary_kernel(BinaryKind::kAdd, a, 1, b, 1, y, n);
}

}  // namespace convoy
