#include "core/ops/conv_weights.h"

#include <algorithm>

#include "core/ops/elementwise_kernels.h"
#include "core/ops/kernel.h"

namespace convoy {
namespace {

std::int64_t taps_of(const ConvProblem& p) { return p.kernel[0] * p.kernel[1]; }

// visit(o) for every output channel, on the device's threads.
template <typename Visit>
void for_outputs(CpuDevice& device, const ConvProblem& p, const Visit& visit) {
  parallel_for(device.threads(), p.o, row_grain(p.c * taps_of(p)), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t o = begin; o < end; ++o) visit(o);
  });
}

}  // namespace

void turn_weights(CpuDevice& device, const ConvProblem& p, const float* from, float* to) {
  constexpr std::int64_t kTogether = 16;  // channels: few enough to write to without evicting each other
  const std::int64_t taps = taps_of(p);
  const std::int64_t blocks = (p.c + kTogether - 1) / kTogether;
  parallel_for(device.threads(), blocks, row_grain(kTogether * p.o * taps), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t first = begin * kTogether; first < std::min(p.c, end * kTogether); first += kTogether) {
      const std::int64_t last = std::min(p.c, first + kTogether);
      for (std::int64_t o = 0; o < p.o; ++o) {
        for (std::int64_t c = first; c < last; ++c)
          std::reverse_copy(from + (o * p.c + c) * taps, from + (o * p.c + c + 1) * taps, to + (c * p.o + o) * taps);
      }
    }
  });
}

void to_taps(CpuDevice& device, const ConvProblem& p, const float* from, float* to) {
  const std::int64_t taps = taps_of(p);
  for_outputs(device, p, [&](std::int64_t o) {
    for (std::int64_t tap = 0; tap < taps; ++tap) {
      float* const row = to + (tap * p.o + o) * p.c;
      for (std::int64_t c = 0; c < p.c; ++c) row[c] = from[(o * p.c + c) * taps + tap];
    }
  });
}

void from_taps(CpuDevice& device, const ConvProblem& p, const float* from, float* to) {
  const std::int64_t taps = taps_of(p);
  for_outputs(device, p, [&](std::int64_t o) {
    for (std::int64_t tap = 0; tap < taps; ++tap) {
      const float* const row = from + (tap * p.o + o) * p.c;
      for (std::int64_t c = 0; c < p.c; ++c) to[(o * p.c + c) * taps + tap] = row[c];
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
