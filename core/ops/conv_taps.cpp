#include "core/ops/conv_taps.h"

#include <algorithm>
#include <array>
#include <type_traits>
#include <utility>
#include <vector>

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

// A packed matrix, with room for the most rows that a tap has.
class Packed {
 public:
  Packed(Scratch& scratch, const ConvProblem& p, std::int64_t columns)
      : data_(scratch.take<float>(p.n * p.out[0] * p.out[1] * columns)), columns_(columns) {}
  float* data() const { return data_; }
  float* row(std::int64_t i) const { return data_ + i * columns_; }

  void set_row(std::int64_t i, const float* from) const { std::copy_n(from, columns_, row(i)); }
  void set_row(std::int64_t i, const bfloat16* from) const { convert_kernel(from, row(i), columns_); }

 private:
  float* data_;
  std::int64_t columns_;
};

// Where a result's fp32 sums form: in the result itself, or in memory of their own until they are rounded to bf16.
class Sums {
 public:
  Sums(Scratch&, float* result, std::int64_t) : data_(result) {}
  Sums(Scratch& scratch, bfloat16*, std::int64_t elements) : data_(scratch.take<float>(elements)) {}
  float* data() const { return data_; }

  void finish(CpuDevice&, float*, std::int64_t) const {}
  void finish(CpuDevice& device, bfloat16* result, std::int64_t elements) const {
    parallel_for(device.threads(), elements, kGrain, [&](std::int64_t begin, std::int64_t end) {
      convert_kernel(data_ + begin, result + begin, end - begin);
    });
  }

 private:
  float* data_;
};

// The weights as [taps, O, C]: one form for both directions.
class TapWeights {
 public:
  TapWeights(CpuDevice& device, Scratch& scratch, const ConvProblem& p, const ConvWeights& weights, bool round)
      : device_(device),
        p_(p),
        plain_(weights.data),
        rounded_(round ? scratch.take<float>(p.weights()) : nullptr),
        form_(scratch, p, weights, round ? "conv rounded taps" : "conv taps", 0,
              static_cast<std::size_t>(p.weights()) * sizeof(float)) {}

  const float* get() const {
    return static_cast<const float*>(form_.get([&](void* to) {
      if (rounded_ != nullptr) round_weights(device_, p_, plain_, rounded_);
      to_taps(device_, p_, rounded_ != nullptr ? rounded_ : plain_, static_cast<float*>(to));
    }));
  }

 private:
  CpuDevice& device_;
  ConvProblem p_;
  const float* plain_;
  float* rounded_;
  WeightForm form_;
};

// The product of every tap, whose number of pixels problem_of() is given. They run in turn, in the same memory.
template <typename ProblemOf>
std::vector<PreparedMatmul> products_of(CpuDevice& device, Scratch& scratch, const ConvProblem& p,
                                        const ProblemOf& problem_of) {
  std::vector<PreparedMatmul> products;
  const auto make = [&](std::byte* memory) {
    std::size_t most = 0;
    products.clear();
    for (std::int64_t index = 0; index < taps_of(p); ++index) {
      BlockScratch own(memory);
      products.emplace_back(device, own, problem_of(p.n * tap_of(p, index).pixels()), false);
      most = std::max(most, own.bytes());
    }
    return most;
  };
  const std::size_t bytes = make(BlockScratch::nowhere());
  make(static_cast<std::byte*>(scratch.take(bytes)));
  return products;
}

// Adds to pixels what all taps make of others: to y of x, or back, to dx of dy.
template <typename T>
class TapSums {
 public:
  TapSums(CpuDevice& device, Scratch& scratch, const ConvProblem& p, const ConvWeights& weights, bool back)
      : device_(device),
        p_(p),
        back_(back),
        in_(back ? p.o : p.c),
        out_(back ? p.c : p.o),
        weights_(device, scratch, p, weights, std::is_same_v<T, bfloat16>),
        pixels_(scratch, p, in_),
        results_(scratch, p, out_),
        products_(products_of(device, scratch, p, [&](std::int64_t rows) {
          return MatmulProblem{.m = rows, .n = out_, .k = in_, .transpose_b = !back};
        })) {}

  void run(const T* from, float* to) const {
    const float* const weights = weights_.get();
    for (std::int64_t index = 0; index < taps_of(p_); ++index) {
      const Tap tap = tap_of(p_, index);
      for_pixels(device_, p_, tap, [&](std::int64_t row, std::int64_t y, std::int64_t x) {
        pixels_.set_row(row, from + (back_ ? y : x) * in_);
      });
      products_[static_cast<std::size_t>(index)].run(pixels_.data(), weights + index * p_.o * p_.c, nullptr,
                                                     results_.data());
      for_pixels(device_, p_, tap, [&](std::int64_t row, std::int64_t y, std::int64_t x) {
        float* const sum = to + (back_ ? x : y) * out_;
        add_kernel(sum, results_.row(row), sum, out_);
      });
    }
  }

 private:
  CpuDevice& device_;
  ConvProblem p_;
  bool back_;
  std::int64_t in_, out_;
  TapWeights weights_;
  Packed pixels_, results_;
  std::vector<PreparedMatmul> products_;
};

bool is_small(const ConvProblem& p, std::int64_t most_pixels) {
  constexpr std::int64_t kLeastChannels = 128;
  return p.groups == 1 && p.out[0] * p.out[1] <= most_pixels && std::min(p.c, p.o) >= kLeastChannels;
}

}  // namespace

bool goes_by_taps(const ConvProblem& p) { return is_small(p, 16); }

bool sums_by_taps(const ConvProblem& p) { return is_small(p, 49); }

template <typename T>
PreparedPtr conv2d_by_taps(CpuDevice& device, Scratch& scratch, const ConvProblem& p, const T* x,
                           const ConvWeights& weights, const float* bias, T* y) {
  const std::int64_t rows = p.n * p.out[0] * p.out[1];
  const Sums sums(scratch, y, rows * p.o);
  return prepared(
      [taps = TapSums<T>(device, scratch, p, weights, false), sums, &device, rows, width = p.o, x, bias, y] {
        for (std::int64_t row = 0; row < rows; ++row) {
          if (bias == nullptr) {
            std::fill_n(sums.data() + row * width, width, 0.0F);
          } else {
            std::copy_n(bias, width, sums.data() + row * width);
          }
        }
        taps.run(x, sums.data());
        sums.finish(device, y, rows * width);
      });
}

template <typename T>
PreparedPtr conv2d_backward_data_by_taps(CpuDevice& device, Scratch& scratch, const ConvProblem& p, const T* dy,
                                         const ConvWeights& weights, T* dx) {
  const std::int64_t elements = p.n * p.x_image();
  const Sums sums(scratch, dx, elements);
  return prepared([taps = TapSums<T>(device, scratch, p, weights, true), sums, &device, elements, dy, dx] {
    std::fill_n(sums.data(), elements, 0.0F);
    taps.run(dy, sums.data());
    sums.finish(device, dx, elements);
  });
}

template <typename T>
PreparedPtr conv2d_backward_weights_by_taps(CpuDevice& device, Scratch& scratch, const ConvProblem& p, const T* x,
                                            const T* dy, float* dw) {
  auto products = products_of(device, scratch, p, [&](std::int64_t rows) {
    return MatmulProblem{.m = p.o, .n = p.c, .k = rows, .transpose_a = true};
  });
  return prepared([products = std::move(products), by_tap = scratch.take<float>(p.weights()),
                   packed_x = Packed(scratch, p, p.c), packed_dy = Packed(scratch, p, p.o), &device, p, x, dy, dw] {
    for (std::int64_t index = 0; index < taps_of(p); ++index) {
      const Tap tap = tap_of(p, index);
      for_pixels(device, p, tap, [&](std::int64_t row, std::int64_t to, std::int64_t from) {
        packed_x.set_row(row, x + from * p.c);
        packed_dy.set_row(row, dy + to * p.o);
      });
      products[static_cast<std::size_t>(index)].run(packed_dy.data(), packed_x.data(), nullptr,
                                                    by_tap + index * p.c * p.o);
    }
    from_taps(device, p, by_tap, dw);
  });
}

template PreparedPtr conv2d_by_taps(CpuDevice&, Scratch&, const ConvProblem&, const float*, const ConvWeights&,
                                    const float*, float*);
template PreparedPtr conv2d_by_taps(CpuDevice&, Scratch&, const ConvProblem&, const bfloat16*, const ConvWeights&,
                                    const float*, bfloat16*);
template PreparedPtr conv2d_backward_data_by_taps(CpuDevice&, Scratch&, const ConvProblem&, const float*,
                                                  const ConvWeights&, float*);
template PreparedPtr conv2d_backward_data_by_taps(CpuDevice&, Scratch&, const ConvProblem&, const bfloat16*,
                                                  const ConvWeights&, bfloat16*);
template PreparedPtr conv2d_backward_weights_by_taps(CpuDevice&, Scratch&, const ConvProblem&, const float*,
                                                     const float*, float*);
template PreparedPtr conv2d_backward_weights_by_taps(CpuDevice&, Scratch&, const ConvProblem&, const bfloat16*,
                                                     const bfloat16*, float*);

}  // namespace convoy
