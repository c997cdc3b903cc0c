// Attention of one head of one sequence: what core/ops/attention.cpp runs for each of them, on one thread.
#pragma once

#include <cstdint>

namespace convoy {

// One head's [time, depth] matrix inside a tensor of any layout.
template <typename T>
struct HeadMatrix {
  T* data;
  std::int64_t time_stride;
  std::int64_t depth_stride;
};

struct AttentionShape {
  std::int64_t time;
  std::int64_t depth;
  bool causal;
  double scale;
};

template <typename T>
struct AttentionForward {
  HeadMatrix<const T> q, k, v;
  HeadMatrix<T> out;
  T* log_sums;  // [time]: log Σ exp(scores) of each query
};

template <typename T>
struct AttentionBackward {
  HeadMatrix<const T> q, k, v, out, dout;
  const T* log_sums;
  HeadMatrix<T> dq, dk, dv;
};

// Elements of scratch that a call needs, aligned to Device::kAlignment.
std::int64_t attention_forward_scratch(const AttentionShape& shape);
std::int64_t attention_backward_scratch(const AttentionShape& shape);

void attention_forward_kernel(const AttentionForward<float>& head, const AttentionShape& shape, float* scratch);
void attention_forward_kernel(const AttentionForward<double>& head, const AttentionShape& shape, double* scratch);
void attention_backward_kernel(const AttentionBackward<float>& head, const AttentionShape& shape, float* scratch);
void attention_backward_kernel(const AttentionBackward<double>& head, const AttentionShape& shape, double* scratch);

}  // namespace convoy
