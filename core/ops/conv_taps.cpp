#include "core/ops/conv_taps.h"

#include <algorithm>
#include <array>

#include "core/ops/elementwise_kernels.h"
#include "core/ops/kernel.h"
#include "core/ops/matmul_kernels.h"

namespace convoy {
namespace {

// The pixels of y that one tap feeds, a rectangle of every image, and where it reads x for them.
struct Tap {
  std::int64_t index;
  std::array<std::int64_t, 2> begin, end;  // of y
  std::array<std::int64_t, 2> shift;       // x = y·stride + shift

  std::int64_t width() const { return end[1] - begin[1]; }
  std::int64_t pixels() const { return (end[0] - begin[0]) * width(); }  // of one image
};

Tap tap_of(const ConvProblem& p, std::int64_t index) {
  const std::array<std::int64_t, 2> at{index / p.kernel[1], index % p.kernel[1]};
  Tap tap{.index = index, .begin = {}, .end = {}, .shift = {}};
  for (std::size_t i = 0; i < 2; ++i) {
    tap.shift[i] = at[i] * p.dilation[i] - p.padding[i];
    // The first y with y·stride + shift ≥ 0 and the first beyond the last with ≤ in - 1.
    tap.begin[i] = tap.shift[i] >= 0 ? 0 : (-tap.shift[i] + p.stride[i] - 1) / p.stride[i];
    const std::int64_t room = p.in[i] - 1 - tap.shift[i];
    tap.end[i] = room < 0 ? 0 : std::min(p.out[i], room / p.stride[i] + 1);
    tap.end[i] = std::max(tap.begin[i], tap.end[i]);
  }
  return tap;
}

std::int64_t taps_of(const ConvProblem& p) { return p.kernel[0] * p.kernel[1]; }

// visit(row of the packed matrix, pixel of y, pixel of x) for every pixel the tap feeds, images shared out.
template <typename Visit>
void for_pixels(CpuDevice& device, const ConvProblem& p, const Tap& tap, const Visit& visit) {
  parallel_for(device.threads(), p.n, row_grain(tap.pixels() * p.c), [&](std::int64_t first, std::int64_t last) {
    std::int64_t row = first * tap.pixels();
    for (std::int64_t image = first; image < last; ++image) {
      for (std::int64_t y = tap.begin[0]; y < tap.end[0]; ++y) {
        for (std::int64_t x = tap.begin[1]; x < tap.end[1]; ++x) {
          const std::int64_t to = (image * p.out[0] + y) * p.out[1] + x;
          const std::int64_t from =
              (image * p.in[0] + y * p.stride[0] + tap.shift[0]) * p.in[1] + x * p.stride[1] + tap.shift[1];
          visit(row++, to, from);
        }
      }
    }
  });
}

// Memory for a packed matrix of the most rows that a tap has.
class Packed {
 public:
  Packed(CpuDevice& device, const ConvProblem& p, std::int64_t columns)
      : storage_(device, static_cast<std::size_t>(p.n * p.out[0] * p.out[1] * columns) * sizeof(float)) {}
  float* data() const { return static_cast<float*>(storage_.data()); }

 private:
  Storage storage_;
};

// [O, C, taps] → [taps, C, O].
void to_taps(CpuDevice& device, const ConvProblem& p, const float* from, float* to) {
  const std::int64_t taps = taps_of(p);
  parallel_for(device.threads(), p.c, row_grain(p.o * taps), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c = begin; c < end; ++c) {
      for (std::int64_t o = 0; o < p.o; ++o) {
        for (std::int64_t tap = 0; tap < taps; ++tap) to[(tap * p.c + c) * p.o + o] = from[(o * p.c + c) * taps + tap];
      }
    }
  });
}

// And back.
void from_taps(CpuDevice& device, const ConvProblem& p, const float* from, float* to) {
  const std::int64_t taps = taps_of(p);
  parallel_for(device.threads(), p.c, row_grain(p.o * taps), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c = begin; c < end; ++c) {
      for (std::int64_t o = 0; o < p.o; ++o) {
        for (std::int64_t tap = 0; tap < taps; ++tap) to[(o * p.c + c) * taps + tap] = from[(tap * p.c + c) * p.o + o];
      }
    }
  });
}

bool is_small(const ConvProblem& p, std::int64_t most_pixels) {
  constexpr std::int64_t kLeastChannels = 128;
  return p.groups == 1 && p.out[0] * p.out[1] <= most_pixels && std::min(p.c, p.o) >= kLeastChannels;
}

}  // namespace

bool goes_by_taps(const ConvProblem& p) { return is_small(p, 16); }

bool sums_by_taps(const ConvProblem& p) { return is_small(p, 49); }

void conv2d_by_taps(CpuDevice& device, const ConvProblem& p, const float* x, const float* weight, const float* bias,
                    float* y) {
  const Storage weights(device, static_cast<std::size_t>(p.weights()) * sizeof(float));
  auto* const by_tap = static_cast<float*>(weights.data());
  to_taps(device, p, weight, by_tap);
  const Packed packed(device, p, p.c);
  const Packed product(device, p, p.o);
  const std::int64_t rows = p.n * p.out[0] * p.out[1];
  for (std::int64_t row = 0; row < rows; ++row) {
    if (bias == nullptr) {
      std::fill_n(y + row * p.o, p.o, 0.0F);
    } else {
      std::copy_n(bias, p.o, y + row * p.o);
    }
  }
  for (std::int64_t index = 0; index < taps_of(p); ++index) {
    const Tap tap = tap_of(p, index);
    for_pixels(device, p, tap, [&](std::int64_t row, std::int64_t, std::int64_t from) {
      std::copy_n(x + from * p.c, p.c, packed.data() + row * p.c);
    });
    matmul_kernel(device, {.m = p.n * tap.pixels(), .n = p.o, .k = p.c}, packed.data(), by_tap + index * p.c * p.o,
                  nullptr, product.data());
    for_pixels(device, p, tap, [&](std::int64_t row, std::int64_t to, std::int64_t) {
      add_kernel(y + to * p.o, product.data() + row * p.o, y + to * p.o, p.o);
    });
  }
}

void conv2d_backward_data_by_taps(CpuDevice& device, const ConvProblem& p, const float* weight, const float* dy,
                                  float* dx) {
  const Storage weights(device, static_cast<std::size_t>(p.weights()) * sizeof(float));
  auto* const by_tap = static_cast<float*>(weights.data());
  to_taps(device, p, weight, by_tap);
  const Packed packed(device, p, p.o);
  const Packed product(device, p, p.c);
  std::fill_n(dx, p.n * p.x_image(), 0.0F);
  for (std::int64_t index = 0; index < taps_of(p); ++index) {
    const Tap tap = tap_of(p, index);
    for_pixels(device, p, tap, [&](std::int64_t row, std::int64_t from, std::int64_t) {
      std::copy_n(dy + from * p.o, p.o, packed.data() + row * p.o);
    });
    matmul_kernel(device, {.m = p.n * tap.pixels(), .n = p.c, .k = p.o, .transpose_b = true}, packed.data(),
                  by_tap + index * p.c * p.o, nullptr, product.data());
    for_pixels(device, p, tap, [&](std::int64_t row, std::int64_t, std::int64_t to) {
      add_kernel(dx + to * p.c, product.data() + row * p.c, dx + to * p.c, p.c);
    });
  }
}

void conv2d_backward_weights_by_taps(CpuDevice& device, const ConvProblem& p, const float* x, const float* dy,
                                     float* dw) {
  const Storage weights(device, static_cast<std::size_t>(p.weights()) * sizeof(float));
  auto* const by_tap = static_cast<float*>(weights.data());
  const Packed packed_x(device, p, p.c);
  const Packed packed_dy(device, p, p.o);
  for (std::int64_t index = 0; index < taps_of(p); ++index) {
    const Tap tap = tap_of(p, index);
    for_pixels(device, p, tap, [&](std::int64_t row, std::int64_t to, std::int64_t from) {
      std::copy_n(x + from * p.c, p.c, packed_x.data() + row * p.c);
      std::copy_n(dy + to * p.o, p.o, packed_dy.data() + row * p.o);
    });
    matmul_kernel(device, {.m = p.c, .n = p.o, .k = p.n * tap.pixels(), .transpose_a = true}, packed_x.data(),
                  packed_dy.data(), nullptr, by_tap + index * p.c * p.o);
  }
  from_taps(device, p, by_tap, dw);
}

}  // namespace convoy
