// Blocked attention of the query heads that share one key head of one sequence (Dao et al. 2022): what
// core/ops/attention.cpp runs, each call on one thread. Scratch holds no scores but those of a block.
#pragma once

#include <cstdint>

#include "core/tensor/bfloat16.h"

namespace convoy {

// One head's [time, depth] matrix inside a tensor of any layout.
template <typename T>
struct HeadMatrix {
  T* data;
  std::int64_t time_stride;
  std::int64_t depth_stride;
};

// The query heads that share a key head.
template <typename T>
struct HeadGroup {
  T* data;
  std::int64_t head_stride;
  std::int64_t time_stride;
  std::int64_t depth_stride;

  HeadMatrix<T> operator[](std::int64_t head) const { return {data + head * head_stride, time_stride, depth_stride}; }
};

struct AttentionShape {
  std::int64_t time;
  std::int64_t depth;
  std::int64_t group;  // query heads to a key head
  bool causal;
  double scale;
};

// Elements are float, double or bfloat16; scores, probabilities, sums and log-sums are Compute<T>, and what a kernel
// writes is rounded once.
template <typename T>
struct AttentionForward {
  HeadGroup<const T> q;
  HeadMatrix<const T> k, v;
  HeadGroup<T> out;
  Compute<T>* log_sums;  // [group, time]: log Σ exp(scores) of each query
};

template <typename T>
struct AttentionBackward {
  HeadGroup<const T> q;
  HeadMatrix<const T> k, v;
  HeadGroup<const T> out, dout;
  const Compute<T>* log_sums;
  HeadGroup<T> dq;
  HeadMatrix<T> dk, dv;
};

// The forward pass of a group falls into strips, independent of each other. So does the backward pass into parts, at
// the cost of 7 products of blocks instead of 5: they are for threads that would have nothing to do otherwise, and
// leave the bits that the whole leaves.
std::int64_t attention_strips(const AttentionShape& shape);
std::int64_t attention_backward_parts(const AttentionShape& shape);

// Elements of scratch that a call needs, aligned to Device::kAlignment.
std::int64_t attention_forward_scratch(const AttentionShape& shape);
std::int64_t attention_backward_scratch(const AttentionShape& shape);
std::int64_t attention_backward_part_scratch(const AttentionShape& shape);

// `next` is what the thread will run after this strip or group, of the same shape: the same heads if there are strips
// left, or nothing else to do. It is fetched ahead, no more.
void attention_forward_kernel(const AttentionForward<float>& heads, const AttentionForward<float>& next,
                              const AttentionShape& shape, std::int64_t strip, float* scratch);
void attention_forward_kernel(const AttentionForward<double>& heads, const AttentionForward<double>& next,
                              const AttentionShape& shape, std::int64_t strip, double* scratch);
void attention_forward_kernel(const AttentionForward<bfloat16>& heads, const AttentionForward<bfloat16>& next,
                              const AttentionShape& shape, std::int64_t strip, float* scratch);
void attention_backward_kernel(const AttentionBackward<float>& heads, const AttentionBackward<float>& next,
                               const AttentionShape& shape, float* scratch);
void attention_backward_kernel(const AttentionBackward<double>& heads, const AttentionBackward<double>& next,
                               const AttentionShape& shape, double* scratch);
void attention_backward_kernel(const AttentionBackward<bfloat16>& heads, const AttentionBackward<bfloat16>& next,
                               const AttentionShape& shape, float* scratch);
void attention_backward_part(const AttentionBackward<float>& heads, const AttentionShape& shape, std::int64_t part,
                             float* scratch);
void attention_backward_part(const AttentionBackward<double>& heads, const AttentionShape& shape, std::int64_t part,
                             double* scratch);
void attention_backward_part(const AttentionBackward<bfloat16>& heads, const AttentionShape& shape, std::int64_t part,
                             float* scratch);

}  // namespace convoy
