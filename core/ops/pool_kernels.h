// Pooling of single images, for core/ops/pool.cpp. One thread.
#pragma once

#include <array>
#include <cstdint>

#include "core/tensor/bfloat16.h"

namespace convoy {

struct PoolProblem {
  std::int64_t channels = 0;
  std::array<std::int64_t, 2> in{};   // height and width
  std::array<std::int64_t, 2> out{};  //
  std::array<std::int64_t, 2> kernel{};
  std::array<std::int64_t, 2> stride{};
  std::array<std::int64_t, 2> padding{};

  std::int64_t x_image() const { return in[0] * in[1] * channels; }  // elements
  std::int64_t y_image() const { return out[0] * out[1] * channels; }
  std::int64_t place_bytes() const { return (channels + 3) / 4 * 4; }  // of one pixel of y
  std::int64_t places_image() const { return out[0] * out[1] * place_bytes(); }
};

// `places` gets place_bytes() a pixel: the place under the kernel, row by row, that each channel came from.
void max_pool_kernel(const PoolProblem& p, const float* x, float* y, std::uint8_t* places);
void max_pool_kernel(const PoolProblem& p, const double* x, double* y, std::uint8_t* places);
void max_pool_kernel(const PoolProblem& p, const bfloat16* x, bfloat16* y, std::uint8_t* places);
void max_pool_backward_kernel(const PoolProblem& p, const std::uint8_t* places, const float* dy, float* dx);
void max_pool_backward_kernel(const PoolProblem& p, const std::uint8_t* places, const double* dy, double* dx);
void max_pool_backward_kernel(const PoolProblem& p, const std::uint8_t* places, const bfloat16* dy, bfloat16* dx);

void avg_pool_kernel(const PoolProblem& p, const float* x, float* y);
void avg_pool_kernel(const PoolProblem& p, const double* x, double* y);
void avg_pool_kernel(const PoolProblem& p, const bfloat16* x, bfloat16* y);
void avg_pool_backward_kernel(const PoolProblem& p, const float* dy, float* dx);
void avg_pool_backward_kernel(const PoolProblem& p, const double* dy, double* dx);
void avg_pool_backward_kernel(const PoolProblem& p, const bfloat16* dy, bfloat16* dx);

}  // namespace convoy
