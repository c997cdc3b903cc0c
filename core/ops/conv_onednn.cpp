// The kernels for f32 and bf16: oneDNN's direct convolutions over pieces of the batch, or matrix products
// (conv_taps.h).
#include <algorithm>
#include <optional>
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

// The body may throw what oneDNN throws, but for its pieces, which run on other threads.
template <typename Body>
void guarded(const ConvProblem& p, const Body& body) {
  try {
    body();
  } catch (const dnnl::error& error) {
    fail(ErrorCode::kInternal, "conv2d: oneDNN refused {} images [{}, {}, {}] to {} channels, kernel {}x{}: {}", p.n,
         p.in[0], p.in[1], p.c, p.o, p.kernel[0], p.kernel[1], error.what());
  }
}

// The weights in the blocked form that the pieces read; `turned` as the convolution of dy reads them. A primitive for
// bf16 has them rounded as they are blocked, one for widened images gets floats that are rounded already.
WeightForm blocked_weights(CpuDevice& device, const ConvProblem& p, const ConvWeights& weights, bool turned,
                           const ConvImages& images, ConvPieces& pieces) {
  const auto make = [&](void* to) {
    std::optional<Storage> copy;
    const float* plain = weights.data;
    if (turned || images.widened) {
      copy.emplace(device, static_cast<std::size_t>(p.weights()) * sizeof(float));
      auto* const own = static_cast<float*>(copy->data());
      if (turned) turn_weights(device, p, plain, own);
      if (images.widened) round_weights(device, p, turned ? own : plain, own);
      plain = own;
    }
    pieces.reorder(plain, to);
  };
  const std::string_view format =
      images.widened ? (turned ? "conv rounded turned" : "conv rounded") : (turned ? "conv turned" : "conv");
  return WeightForm(device, p, weights, format, pieces.layout(), pieces.weights_bytes(), make);
}

void forward(CpuDevice& device, const ConvProblem& p, const void* x, const ConvWeights& weights, const float* bias,
             const void* y, const ConvImages& images) {
  ConvPieces pieces(device, ConvPass::kForward, p, images_of_piece(p), images, bias != nullptr);
  const WeightForm form = blocked_weights(device, p, weights, false, images, pieces);
  pieces.run({.x = x, .weights = form.data(), .bias = bias, .y = y});
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

void backward_data(CpuDevice& device, const ConvProblem& p, const void* dy, const ConvWeights& weights, const void* dx,
                   const ConvImages& images) {
  if (is_convolution_of_dy(p)) {
    const ConvProblem other = turned(p);
    ConvPieces pieces(device, ConvPass::kForward, other, images_of_piece(other), images);
    const WeightForm form = blocked_weights(device, p, weights, true, images, pieces);
    pieces.run({.x = dy, .weights = form.data(), .y = dx});
    return;
  }
  ConvPieces pieces(device, ConvPass::kBackwardData, p, images_of_piece(p), images);
  const WeightForm form = blocked_weights(device, p, weights, false, images, pieces);
  pieces.run({.x = dx, .weights = form.data(), .y = dy});
}

// Each piece sums its images; the pieces are added in turn.
void backward_weights(CpuDevice& device, const ConvProblem& p, const void* x, const void* dy, float* dw,
                      const ConvImages& images) {
  ConvPieces pieces(device, ConvPass::kBackwardWeights, p, images_of_sum(p), images);
  const std::size_t bytes = pieces.weights_bytes();
  const auto elements = static_cast<std::int64_t>(bytes / sizeof(float));
  const Storage sums(device, static_cast<std::size_t>(pieces.count()) * bytes);
  auto* const sum = static_cast<float*>(sums.data());
  pieces.run({.x = x, .weights = sum, .y = dy, .weights_step = bytes});
  parallel_for(device.threads(), pieces.count() > 1 ? elements : 0, kGrain, [&](std::int64_t begin, std::int64_t end) {
    constexpr std::int64_t kCached = 4096;
    for (std::int64_t i = begin; i < end; i += kCached) {
      for (std::int64_t piece = 1; piece < pieces.count(); ++piece)
        add_kernel(sum + i, sum + piece * elements + i, sum + i, std::min(kCached, end - i));
    }
  });
  pieces.reorder(sum, dw);
}

// Only floats are multiplied tap by tap: bf16 instructions are the faster ones even on short rows.
bool multiplies_floats(const ConvImages& images) { return !images.bf16 || images.widened; }

template <typename T>
void run_forward(CpuDevice& device, const ConvProblem& p, const T* x, const ConvWeights& weights, const float* bias,
                 T* y, const ConvImages& images) {
  if (p.n == 0) return;
  if (goes_by_taps(p) && multiplies_floats(images)) return conv2d_by_taps(device, p, x, weights, bias, y);
  guarded(p, [&] { forward(device, p, x, weights, bias, y, images); });
}

template <typename T>
void run_backward_data(CpuDevice& device, const ConvProblem& p, const T* dy, const ConvWeights& weights, T* dx,
                       const ConvImages& images) {
  if (p.n == 0) return;
  if (goes_by_taps(p) && multiplies_floats(images)) return conv2d_backward_data_by_taps(device, p, dy, weights, dx);
  guarded(p, [&] { backward_data(device, p, dy, weights, dx, images); });
}

template <typename T>
void run_backward_weights(CpuDevice& device, const ConvProblem& p, const T* x, const T* dy, float* dw,
                          const ConvImages& images) {
  if (p.n == 0) {
    std::fill_n(dw, p.weights(), 0.0F);
    return;
  }
  if (sums_by_taps(p) && multiplies_floats(images)) return conv2d_backward_weights_by_taps(device, p, x, dy, dw);
  guarded(p, [&] { backward_weights(device, p, x, dy, dw, images); });
}

}  // namespace

void conv2d_kernel(CpuDevice& device, const ConvProblem& problem, const float* x, const ConvWeights& weights,
                   const float* bias, float* y) {
  run_forward(device, problem, x, weights, bias, y, {});
}

void conv2d_kernel(CpuDevice& device, const ConvProblem& problem, const bfloat16* x, const ConvWeights& weights,
                   const float* bias, bfloat16* y) {
  run_forward(device, problem, x, weights, bias, y, bf16_images(device));
}

void conv2d_backward_data_kernel(CpuDevice& device, const ConvProblem& problem, const float* dy,
                                 const ConvWeights& weights, float* dx) {
  run_backward_data(device, problem, dy, weights, dx, {});
}

void conv2d_backward_data_kernel(CpuDevice& device, const ConvProblem& problem, const bfloat16* dy,
                                 const ConvWeights& weights, bfloat16* dx) {
  run_backward_data(device, problem, dy, weights, dx, bf16_images(device));
}

void conv2d_backward_weights_kernel(CpuDevice& device, const ConvProblem& problem, const float* x, const float* dy,
                                    float* dw) {
  run_backward_weights(device, problem, x, dy, dw, {});
}

void conv2d_backward_weights_kernel(CpuDevice& device, const ConvProblem& problem, const bfloat16* x,
                                    const bfloat16* dy, float* dw) {
  run_backward_weights(device, problem, x, dy, dw, bf16_images(device));
}

}  // namespace convoy
