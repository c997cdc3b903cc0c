#include "core/ops/conv_taps.h"

#include <algorithm>
#include <array>
#include <optional>
#include <type_traits>
#include <utility>

#include "core/ops/conv_weights.h"
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
      : storage_(device, static_cast<std::size_t>(p.n * p.out[0] * p.out[1] * columns) * sizeof(float)),
        columns_(columns) {}
  float* data() const { return static_cast<float*>(storage_.data()); }
  float* row(std::int64_t i) const { return data() + i * columns_; }

  void set_row(std::int64_t i, const float* from) const { std::copy_n(from, columns_, row(i)); }
  void set_row(std::int64_t i, const bfloat16* from) const { convert_kernel(from, row(i), columns_); }

 private:
  Storage storage_;
  std::int64_t columns_;
};

// Where a result's fp32 sums form: in the result itself, or in memory of their own until they are rounded to bf16.
class Sums {
 public:
  Sums(CpuDevice&, float* result, std::int64_t) : data_(result) {}
  Sums(CpuDevice& device, bfloat16*, std::int64_t elements)
      : own_(std::in_place, device, static_cast<std::size_t>(elements) * sizeof(float)),
        data_(static_cast<float*>(own_->data())) {}
  float* data() const { return data_; }

  void finish(CpuDevice&, float*, std::int64_t) const {}
  void finish(CpuDevice& device, bfloat16* result, std::int64_t elements) const {
    parallel_for(device.threads(), elements, kGrain, [&](std::int64_t begin, std::int64_t end) {
      convert_kernel(data_ + begin, result + begin, end - begin);
    });
  }

 private:
  std::optional<Storage> own_;
  float* data_;
};

// [taps, O, C]: one form for both directions.
WeightForm tap_weights(CpuDevice& device, const ConvProblem& p, const ConvWeights& weights, bool round) {
  const std::size_t bytes = static_cast<std::size_t>(p.weights()) * sizeof(float);
  const auto make = [&](void* to) {
    if (!round) return to_taps(device, p, weights.data, static_cast<float*>(to));
    const Storage memory(device, bytes);
    auto* const rounded = static_cast<float*>(memory.data());
    round_weights(device, p, weights.data, rounded);
    to_taps(device, p, rounded, static_cast<float*>(to));
  };
  return WeightForm(device, p, weights, round ? "conv rounded taps" : "conv taps", 0, bytes, make);
}

// Adds to `to`'s pixels what all taps make of `from`'s: to y of x, or back, to dx of dy.
template <typename T>
void add_products(CpuDevice& device, const ConvProblem& p, const ConvWeights& weights, bool back, const T* from,
                  float* to) {
  const std::int64_t in = back ? p.o : p.c;
  const std::int64_t out = back ? p.c : p.o;
  const WeightForm form = tap_weights(device, p, weights, std::is_same_v<T, bfloat16>);
  const Packed pixels(device, p, in);
  const Packed products(device, p, out);
  for (std::int64_t index = 0; index < taps_of(p); ++index) {
    const Tap tap = tap_of(p, index);
    for_pixels(device, p, tap, [&](std::int64_t row, std::int64_t y, std::int64_t x) {
      pixels.set_row(row, from + (back ? y : x) * in);
    });
    matmul_kernel(device, {.m = p.n * tap.pixels(), .n = out, .k = in, .transpose_b = !back}, pixels.data(),
                  static_cast<const float*>(form.data()) + index * p.o * p.c, nullptr, products.data());
    for_pixels(device, p, tap, [&](std::int64_t row, std::int64_t y, std::int64_t x) {
      float* const sum = to + (back ? x : y) * out;
      add_kernel(sum, products.row(row), sum, out);
    });
  }
}

bool is_small(const ConvProblem& p, std::int64_t most_pixels) {
  constexpr std::int64_t kLeastChannels = 128;
  return p.groups == 1 && p.out[0] * p.out[1] <= most_pixels && std::min(p.c, p.o) >= kLeastChannels;
}

}  // namespace

bool goes_by_taps(const ConvProblem& p) { return is_small(p, 16); }

bool sums_by_taps(const ConvProblem& p) { return is_small(p, 49); }

template <typename T>
void conv2d_by_taps(CpuDevice& device, const ConvProblem& p, const T* x, const ConvWeights& weights, const float* bias,
                    T* y) {
  const std::int64_t rows = p.n * p.out[0] * p.out[1];
  const Sums sums(device, y, rows * p.o);
  for (std::int64_t row = 0; row < rows; ++row) {
    if (bias == nullptr) {
      std::fill_n(sums.data() + row * p.o, p.o, 0.0F);
    } else {
      std::copy_n(bias, p.o, sums.data() + row * p.o);
    }
  }
  add_products(device, p, weights, false, x, sums.data());
  sums.finish(device, y, rows * p.o);
}

template <typename T>
void conv2d_backward_data_by_taps(CpuDevice& device, const ConvProblem& p, const T* dy, const ConvWeights& weights,
                                  T* dx) {
  const std::int64_t elements = p.n * p.x_image();
  const Sums sums(device, dx, elements);
  std::fill_n(sums.data(), elements, 0.0F);
  add_products(device, p, weights, true, dy, sums.data());
  sums.finish(device, dx, elements);
}

template <typename T>
void conv2d_backward_weights_by_taps(CpuDevice& device, const ConvProblem& p, const T* x, const T* dy, float* dw) {
  const Storage weights(device, static_cast<std::size_t>(p.weights()) * sizeof(float));
  auto* const by_tap = static_cast<float*>(weights.data());
  const Packed packed_x(device, p, p.c);
  const Packed packed_dy(device, p, p.o);
  for (std::int64_t index = 0; index < taps_of(p); ++index) {
    const Tap tap = tap_of(p, index);
    for_pixels(device, p, tap, [&](std::int64_t row, std::int64_t to, std::int64_t from) {
      packed_x.set_row(row, x + from * p.c);
      packed_dy.set_row(row, dy + to * p.o);
    });
    matmul_kernel(device, {.m = p.o, .n = p.c, .k = p.n * tap.pixels(), .transpose_a = true}, packed_dy.data(),
                  packed_x.data(), nullptr, by_tap + index * p.c * p.o);
  }
  from_taps(device, p, by_tap, dw);
}

template void conv2d_by_taps(CpuDevice&, const ConvProblem&, const float*, const ConvWeights&, const float*, float*);
template void conv2d_by_taps(CpuDevice&, const ConvProblem&, const bfloat16*, const ConvWeights&, const float*,
                             bfloat16*);
template void conv2d_backward_data_by_taps(CpuDevice&, const ConvProblem&, const float*, const ConvWeights&, float*);
template void conv2d_backward_data_by_taps(CpuDevice&, const ConvProblem&, const bfloat16*, const ConvWeights&,
                                           bfloat16*);
template void conv2d_backward_weights_by_taps(CpuDevice&, const ConvProblem&, const float*, const float*, float*);
template void conv2d_backward_weights_by_taps(CpuDevice&, const ConvProblem&, const bfloat16*, const bfloat16*, float*);

}  // namespace convoy
