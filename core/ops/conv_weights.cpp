#include "core/ops/conv_weights.h"

#include <algorithm>

#include "core/ops/elementwise_kernels.h"
#include "core/ops/kernel.h"

namespace convoy {
namespace {

std::int64_t taps_of(const ConvProblem& p) { return p.kernel[0] * p.kernel[1]; }

// body(c) for every input channel, on the device's threads.
template <typename Body>
void for_channels(CpuDevice& device, const ConvProblem& p, const Body& body) {
  parallel_for(device.threads(), p.c, row_grain(p.o * taps_of(p)), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c = begin; c < end; ++c) body(c);
  });
}

}  // namespace

void turn_weights(CpuDevice& device, const ConvProblem& p, const float* from, float* to) {
  const std::int64_t taps = taps_of(p);
  for_channels(device, p, [&](std::int64_t c) {
    for (std::int64_t o = 0; o < p.o; ++o)
      std::reverse_copy(from + (o * p.c + c) * taps, from + (o * p.c + c + 1) * taps, to + (c * p.o + o) * taps);
  });
}

void to_taps(CpuDevice& device, const ConvProblem& p, const float* from, float* to) {
  const std::int64_t taps = taps_of(p);
  for_channels(device, p, [&](std::int64_t c) {
    for (std::int64_t o = 0; o < p.o; ++o) {
      for (std::int64_t tap = 0; tap < taps; ++tap) to[(tap * p.c + c) * p.o + o] = from[(o * p.c + c) * taps + tap];
    }
  });
}

void from_taps(CpuDevice& device, const ConvProblem& p, const float* from, float* to) {
  const std::int64_t taps = taps_of(p);
  for_channels(device, p, [&](std::int64_t c) {
    for (std::int64_t o = 0; o < p.o; ++o) {
      for (std::int64_t tap = 0; tap < taps; ++tap) to[(o * p.c + c) * taps + tap] = from[(tap * p.c + c) * p.o + o];
    }
  });
}

void round_weights(CpuDevice& device, const ConvProblem& p, const float* from, float* to) {
  parallel_for(device.threads(), p.weights(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    constexpr std::int64_t kCached = 1024;
    bfloat16 rounded[kCached];
    for (std::int64_t i = begin; i < end; i += kCached) {
      const std::int64_t n = std::min(kCached, end - i);
      convert_kernel(from + i, rounded, n);
      convert_kernel(rounded, to + i, n);
    }
  });
}

}  // namespace convoy
