// The kernels for f32 and bf16: oneDNN's direct convolutions over pieces of the batch, or matrix products
// (conv_taps.h).
#include <algorithm>
#include <string_view>
#include <utility>

#include "core/base/error.h"
#include "core/ops/conv_kernels.h"
#include "core/ops/conv_pieces.h"
#include "core/ops/conv_taps.h"
#include "core/ops/conv_weights.h"
#include "core/ops/elementwise_kernels.h"
#include "core/ops/kernel.h"

namespace convoy {
namespace {

ConvImages bf16_images(const CpuDevice& device) { return {.bf16 = true, .widened = !device.native_bf16()}; }

// The body may throw what oneDNN throws.
template <typename Body>
PreparedPtr guarded(const ConvProblem& p, const Body& body) {
  try {
    return body();
  } catch (const dnnl::error& error) {
    fail(ErrorCode::kInternal, "conv2d: oneDNN refused {} images [{}, {}, {}] to {} channels, kernel {}x{}: {}", p.n,
         p.in[0], p.in[1], p.c, p.o, p.kernel[0], p.kernel[1], error.what());
  }
}

// The weights in the blocked form that the pieces read; `turned` as the convolution of dy reads them. A primitive for
// bf16 has them rounded as they are blocked, one for widened images gets floats that are rounded already.
class BlockedWeights {
 public:
  BlockedWeights(CpuDevice& device, Scratch& scratch, const ConvProblem& p, const ConvWeights& weights, bool turned,
                 const ConvImages& images, const ConvPieces& pieces)
      : device_(device),
        p_(p),
        plain_(weights.data),
        turned_(turned),
        widened_(images.widened),
        copy_(turned || images.widened ? scratch.take<float>(p.weights()) : nullptr),
        form_(scratch, p, weights, format(), pieces.layout(), pieces.weights_bytes()) {}

  const void* get(const ConvPieces& pieces) const {
    return form_.get([&](void* to) {
      if (turned_) turn_weights(device_, p_, plain_, copy_);
      if (widened_) round_weights(device_, p_, turned_ ? copy_ : plain_, copy_);
      pieces.reorder(copy_ != nullptr ? copy_ : plain_, to);
    });
  }

 private:
  std::string_view format() const {
    if (widened_) return turned_ ? "conv rounded turned" : "conv rounded";
    return turned_ ? "conv turned" : "conv";
  }

  CpuDevice& device_;
  ConvProblem p_;
  const float* plain_;
  bool turned_, widened_;
  float* copy_;
  WeightForm form_;
};

PreparedPtr forward(CpuDevice& device, Scratch& scratch, const ConvProblem& p, const void* x,
                    const ConvWeights& weights, const float* bias, const void* y, const ConvImages& images) {
  ConvPieces pieces(device, scratch, ConvPass::kForward, p, images_of_piece(p), images, bias != nullptr);
  const BlockedWeights form(device, scratch, p, weights, false, images, pieces);
  return prepared([pieces = std::move(pieces), form, x, bias, y] {
    pieces.run({.x = x, .weights = form.get(pieces), .bias = bias, .y = y});
  });
}

// Where the kernel moves by single pixels, the gradient of x is a convolution of dy itself, with the taps turned round
// and the channels exchanged; the forward kernel is the faster one.
bool is_convolution_of_dy(const ConvProblem& p) {
  bool fits = p.groups == 1;
  for (std::size_t i = 0; i < 2; ++i)
    fits = fits && p.stride[i] == 1 && p.padding[i] <= p.dilation[i] * (p.kernel[i] - 1);
  return fits;
}

ConvProblem turned(const ConvProblem& p) {
  ConvProblem result = p;
  std::swap(result.c, result.o);
  std::swap(result.in, result.out);
  for (std::size_t i = 0; i < 2; ++i) result.padding[i] = p.dilation[i] * (p.kernel[i] - 1) - p.padding[i];
  return result;
}

PreparedPtr backward_data(CpuDevice& device, Scratch& scratch, const ConvProblem& p, const void* dy,
                          const ConvWeights& weights, const void* dx, const ConvImages& images) {
  const bool turns = is_convolution_of_dy(p);
  const ConvProblem other = turns ? turned(p) : p;
  ConvPieces pieces(device, scratch, turns ? ConvPass::kForward : ConvPass::kBackwardData, other,
                    images_of_piece(other), images);
  const BlockedWeights form(device, scratch, p, weights, turns, images, pieces);
  return prepared([pieces = std::move(pieces), form, x = turns ? dy : dx, y = turns ? dx : dy] {
    pieces.run({.x = x, .weights = form.get(pieces), .y = y});
  });
}

// Each piece sums its images; the pieces are added in turn.
PreparedPtr backward_weights(CpuDevice& device, Scratch& scratch, const ConvProblem& p, const void* x, const void* dy,
                             float* dw, const ConvImages& images) {
  ConvPieces pieces(device, scratch, ConvPass::kBackwardWeights, p, images_of_sum(p), images);
  const std::size_t bytes = pieces.weights_bytes();
  const auto elements = static_cast<std::int64_t>(bytes / sizeof(float));
  float* const sum = scratch.take<float>(pieces.count() * elements);
  return prepared([pieces = std::move(pieces), bytes, elements, sum, x, dy, dw, threads = device.threads()] {
    pieces.run({.x = x, .weights = sum, .y = dy, .weights_step = bytes});
    parallel_for(threads, pieces.count() > 1 ? elements : 0, kGrain, [&](std::int64_t begin, std::int64_t end) {
      constexpr std::int64_t kCached = 4096;
      for (std::int64_t i = begin; i < end; i += kCached) {
        for (std::int64_t piece = 1; piece < pieces.count(); ++piece)
          add_kernel(sum + i, sum + piece * elements + i, sum + i, std::min(kCached, end - i));
      }
    });
    pieces.reorder(sum, dw);
  });
}

// Only floats are multiplied tap by tap: bf16 instructions are the faster ones even on short rows.
bool multiplies_floats(const ConvImages& images) { return !images.bf16 || images.widened; }

PreparedPtr nothing() {
  return prepared([] {});
}

template <typename T>
PreparedPtr any_forward(CpuDevice& device, Scratch& scratch, const ConvProblem& p, const T* x,
                        const ConvWeights& weights, const float* bias, T* y, const ConvImages& images) {
  if (p.n == 0) return nothing();
  if (goes_by_taps(p) && multiplies_floats(images)) return conv2d_by_taps(device, scratch, p, x, weights, bias, y);
  return guarded(p, [&] { return forward(device, scratch, p, x, weights, bias, y, images); });
}

template <typename T>
PreparedPtr any_backward_data(CpuDevice& device, Scratch& scratch, const ConvProblem& p, const T* dy,
                              const ConvWeights& weights, T* dx, const ConvImages& images) {
  if (p.n == 0) return nothing();
  if (goes_by_taps(p) && multiplies_floats(images))
    return conv2d_backward_data_by_taps(device, scratch, p, dy, weights, dx);
  return guarded(p, [&] { return backward_data(device, scratch, p, dy, weights, dx, images); });
}

template <typename T>
PreparedPtr any_backward_weights(CpuDevice& device, Scratch& scratch, const ConvProblem& p, const T* x, const T* dy,
                                 float* dw, const ConvImages& images) {
  if (p.n == 0) return prepared([dw, n = p.weights()] { std::fill_n(dw, n, 0.0F); });
  if (sums_by_taps(p) && multiplies_floats(images))
    return conv2d_backward_weights_by_taps(device, scratch, p, x, dy, dw);
  return guarded(p, [&] { return backward_weights(device, scratch, p, x, dy, dw, images); });
}

}  // namespace

PreparedPtr prepare_conv2d(CpuDevice& device, Scratch& scratch, const ConvProblem& problem, const float* x,
                           const ConvWeights& weights, const float* bias, float* y) {
  return any_forward(device, scratch, problem, x, weights, bias, y, {});
}

PreparedPtr prepare_conv2d(CpuDevice& device, Scratch& scratch, const ConvProblem& problem, const bfloat16* x,
                           const ConvWeights& weights, const float* bias, bfloat16* y) {
  return any_forward(device, scratch, problem, x, weights, bias, y, bf16_images(device));
}

PreparedPtr prepare_conv2d_backward_data(CpuDevice& device, Scratch& scratch, const ConvProblem& problem,
                                         const float* dy, const ConvWeights& weights, float* dx) {
  return any_backward_data(device, scratch, problem, dy, weights, dx, {});
}

PreparedPtr prepare_conv2d_backward_data(CpuDevice& device, Scratch& scratch, const ConvProblem& problem,
                                         const bfloat16* dy, const ConvWeights& weights, bfloat16* dx) {
  return any_backward_data(device, scratch, problem, dy, weights, dx, bf16_images(device));
}

PreparedPtr prepare_conv2d_backward_weights(CpuDevice& device, Scratch& scratch, const ConvProblem& problem,
                                            const float* x, const float* dy, float* dw) {
  return any_backward_weights(device, scratch, problem, x, dy, dw, {});
}

PreparedPtr prepare_conv2d_backward_weights(CpuDevice& device, Scratch& scratch, const ConvProblem& problem,
                                            const bfloat16* x, const bfloat16* dy, float* dw) {
  return any_backward_weights(device, scratch, problem, x, dy, dw, bf16_images(device));
}

}  // namespace convoy
