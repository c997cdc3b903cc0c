#include "core/ops/conv_taps.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "core/ops/conv_weights.h"
#include "core/ops/elementwise_kernels.h"
#include "core/ops/kernel.h"
#include "core/ops/matmul_kernels.h"
#include "core/ops/packed_gemm.h"

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
template <typename T>
class Packed {
 public:
  Packed(CpuDevice& device, const ConvProblem& p, std::int64_t columns)
      : storage_(device, static_cast<std::size_t>(p.n * p.out[0] * p.out[1] * columns) * sizeof(T)) {}
  T* data() const { return static_cast<T*>(storage_.data()); }

 private:
  Storage storage_;
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

// Rows of pixels [rows, k] times a tap's weights [k, n]: the channels of x and of y, or back.
struct TapProduct {
  std::int64_t k, n;
  bool back;
};

TapProduct product_of(const ConvProblem& p, bool back) {
  return {.k = back ? p.o : p.c, .n = back ? p.c : p.o, .back = back};
}

// f32: one form for both directions, [taps, O, C].
WeightForm tap_weights(CpuDevice& device, const ConvProblem& p, const ConvWeights& weights, bool, const float*) {
  return WeightForm(device, p, weights, "conv taps", 0, static_cast<std::size_t>(p.weights()) * sizeof(float),
                    [&](void* to) { to_taps(device, p, weights.data, static_cast<float*>(to)); });
}

void multiply(CpuDevice& device, const TapProduct& product, std::int64_t tap, std::int64_t rows, const float* pixels,
              const void* weights, float* to) {
  const float* const by_tap = static_cast<const float*>(weights) + tap * product.k * product.n;
  matmul_kernel(device, {.m = rows, .n = product.n, .k = product.k, .transpose_b = !product.back}, pixels, by_tap,
                nullptr, to);
}

// bf16: the panels of every tap in turn.
WeightForm tap_weights(CpuDevice& device, const ConvProblem& p, const ConvWeights& weights, bool back,
                       const bfloat16*) {
  const TapProduct product = product_of(p, back);
  const std::size_t bytes = panel_bytes(product.k, product.n);
  const auto make = [&](void* to) {
    const Storage memory(device, static_cast<std::size_t>(p.weights()) * sizeof(bfloat16));
    auto* const by_tap = static_cast<bfloat16*>(memory.data());
    to_taps(device, p, weights.data, by_tap);
    for (std::int64_t tap = 0; tap < taps_of(p); ++tap) {
      const GemmOperand operand{
          .data = by_tap + tap * p.c * p.o, .dtype = DType::kBF16, .row = back ? p.c : 1, .column = back ? 1 : p.c};
      prepare_panels(device, product.k, product.n, operand,
                     static_cast<std::byte*>(to) + static_cast<std::size_t>(tap) * bytes);
    }
  };
  return WeightForm(device, p, weights, back ? "conv panels back" : "conv panels", 0,
                    static_cast<std::size_t>(taps_of(p)) * bytes, make);
}

void multiply(CpuDevice& device, const TapProduct& product, std::int64_t tap, std::int64_t rows, const bfloat16* pixels,
              const void* weights, float* to) {
  const std::size_t offset = static_cast<std::size_t>(tap) * panel_bytes(product.k, product.n);
  packed_gemm(device, {.m = rows,
                       .n = product.n,
                       .k = product.k,
                       .a = {.data = pixels, .dtype = DType::kBF16, .row = product.k, .column = 1},
                       .b = {.data = static_cast<const std::byte*>(weights) + offset},
                       .b_is_prepared = true,
                       .dtype = DType::kF32,
                       .y = to});
}

// The products of dy's pixels and x's, [O, rows]·[rows, C].
void multiply_transposed(CpuDevice& device, const ConvProblem& p, std::int64_t rows, const float* x, const float* dy,
                         float* to) {
  matmul_kernel(device, {.m = p.o, .n = p.c, .k = rows, .transpose_a = true}, dy, x, nullptr, to);
}

void multiply_transposed(CpuDevice& device, const ConvProblem& p, std::int64_t rows, const bfloat16* x,
                         const bfloat16* dy, float* to) {
  packed_gemm(device, {.m = p.o,
                       .n = p.c,
                       .k = rows,
                       .a = {.data = dy, .dtype = DType::kBF16, .row = 1, .column = p.o},
                       .b = {.data = x, .dtype = DType::kBF16, .row = p.c, .column = 1},
                       .dtype = DType::kF32,
                       .y = to});
}

// Adds to `to`'s pixels what all taps make of `from`'s: to y of x, or back, to dx of dy.
template <typename T>
void add_products(CpuDevice& device, const ConvProblem& p, const ConvWeights& weights, bool back, const T* from,
                  float* to) {
  const TapProduct product = product_of(p, back);
  const WeightForm form = tap_weights(device, p, weights, back, from);
  const Packed<T> pixels(device, p, product.k);
  const Packed<float> products(device, p, product.n);
  for (std::int64_t index = 0; index < taps_of(p); ++index) {
    const Tap tap = tap_of(p, index);
    for_pixels(device, p, tap, [&](std::int64_t row, std::int64_t y, std::int64_t x) {
      std::copy_n(from + (back ? y : x) * product.k, product.k, pixels.data() + row * product.k);
    });
    multiply(device, product, index, p.n * tap.pixels(), pixels.data(), form.data(), products.data());
    for_pixels(device, p, tap, [&](std::int64_t row, std::int64_t y, std::int64_t x) {
      float* const sum = to + (back ? x : y) * product.n;
      add_kernel(sum, products.data() + row * product.n, sum, product.n);
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
  const Packed<T> packed_x(device, p, p.c);
  const Packed<T> packed_dy(device, p, p.o);
  for (std::int64_t index = 0; index < taps_of(p); ++index) {
    const Tap tap = tap_of(p, index);
    for_pixels(device, p, tap, [&](std::int64_t row, std::int64_t to, std::int64_t from) {
      std::copy_n(x + from * p.c, p.c, packed_x.data() + row * p.c);
      std::copy_n(dy + to * p.o, p.o, packed_dy.data() + row * p.o);
    });
    multiply_transposed(device, p, p.n * tap.pixels(), packed_x.data(), packed_dy.data(), by_tap + index * p.c * p.o);
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
