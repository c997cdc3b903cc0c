#include "core/ops/measure_roofline.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "core/graph/recorder.h"
#include "core/ops/elementwise.h"
#include "core/ops/matmul.h"

namespace convoy {
namespace {

constexpr int kRuns = 5;

// The least of several runs, the first of which makes what later ones find made.
template <typename F>
double best_seconds(const F& run) {
  using Clock = std::chrono::steady_clock;
  run();
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < kRuns; ++i) {
    const Clock::time_point begin = Clock::now();
    run();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - begin).count());
  }
  return best;
}

double product_flops(CpuDevice& device, DType dtype) {
  constexpr std::int64_t kSide = 768;
  const Tensor a = Tensor::zeros({dtype, {kSide, kSide}, &device});
  return 2.0 * kSide * kSide * kSide / best_seconds([&] { matmul(a, a); });
}

double memory_bytes(CpuDevice& device) {
  constexpr std::int64_t kElements = 6 << 20;  // 24 MiB each: together more than the caches of most machines
  const Spec spec{DType::kF32, {kElements}, &device};
  const Tensor a = Tensor::zeros(spec), b = Tensor::zeros(spec);  // one operand would be read once, not twice
  return 3.0 * kElements * sizeof(float) / best_seconds([&] { add(a, b); });
}

}  // namespace

Roofline measure_roofline(CpuDevice& device) {
  const Recorder recorder(device, {}, Recorder::Tape::kOff);
  return {.f32_flops = product_flops(device, DType::kF32),
          .bf16_flops = product_flops(device, DType::kBF16),
          .f64_flops = product_flops(device, DType::kF64),
          .bytes = memory_bytes(device)};
}

}  // namespace convoy
