// The f32 kernels: oneDNN's direct convolutions over pieces of the batch, or matrix products (conv_taps.h).
//
// The size of a piece follows from the shapes, and threads share out whole pieces: no bit can depend on how oneDNN
// would divide the work itself (its weight gradients do: each thread sums some of the images).
#include <omp.h>

#include <algorithm>
#include <memory>
#include <unordered_map>
#include <utility>

#include "core/base/error.h"
#include "core/ops/conv_kernels.h"
#include "core/ops/conv_primitive.h"
#include "core/ops/conv_taps.h"
#include "core/ops/elementwise_kernels.h"
#include "core/ops/kernel.h"

namespace convoy {
namespace {

// OpenMP's default number of threads while this lives; oneDNN takes it for primitives made and run meanwhile.
class OmpThreads {
 public:
  explicit OmpThreads(int threads) : before_(omp_get_max_threads()) { set(threads); }
  ~OmpThreads() { set(before_); }
  OmpThreads(const OmpThreads&) = delete;
  OmpThreads& operator=(const OmpThreads&) = delete;

 private:
  static void set(int threads) {
    if (omp_get_max_threads() != threads) omp_set_num_threads(threads);
  }
  int before_;
};

// A device's engine and all its prepared convolutions.
struct Convolutions {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  std::unordered_map<ConvPiece, std::unique_ptr<ConvPrimitive>, ConvPieceHash> prepared;
};

// The smallest divisor of n that is at least `wanted`: pieces of one size need one primitive.
std::int64_t divisor_from(std::int64_t n, std::int64_t wanted) {
  std::int64_t divisor = std::min(n, wanted);
  while (n % divisor != 0) ++divisor;
  return divisor;
}

// Images of a piece: half a millisecond's work, and enough of it to make reading weights that are larger than the
// second-level cache worthwhile.
std::int64_t images_of_piece(const ConvProblem& p) {
  constexpr double kFlops = 5e7;
  constexpr std::int64_t kLargeWeights = 1 << 18;
  constexpr std::int64_t kPixels = 256;
  const std::int64_t pixels = p.out[0] * p.out[1];
  const double flops = 2.0 * static_cast<double>(pixels) * static_cast<double>(p.weights());
  const auto for_work = static_cast<std::int64_t>(kFlops / flops) + 1;
  const std::int64_t for_weights = p.weights() < kLargeWeights ? 1 : kPixels / pixels + 1;
  return divisor_from(p.n, std::max(for_work, for_weights));
}

// Images over which one piece sums its weight gradient: pieces are few enough for adding them up to cost little.
std::int64_t images_of_sum(const ConvProblem& p) {
  constexpr std::int64_t kPixels = 1000;
  constexpr std::int64_t kMostPieces = 16;
  const std::int64_t pieces = std::min(kMostPieces, p.n * p.out[0] * p.out[1] / kPixels + 1);
  return divisor_from(p.n, std::max((p.n + pieces - 1) / pieces, images_of_piece(p)));
}

// One pass over the whole batch, in pieces of `images` images.
class Pieces {
 public:
  Pieces(CpuDevice& device, ConvPass pass, const ConvProblem& problem, std::int64_t images, bool bias = false)
      : device_(device),
        images_(images),
        count_(problem.n / images),
        primitive_(prepare(device, pass, problem, images, bias)) {}

  std::int64_t count() const { return count_; }
  ConvPrimitive& primitive() { return primitive_; }

  // run(thread, piece, its first image, scratch) for every piece, on the device's threads.
  template <typename Run>
  void for_each(const Run& run) {
    const std::size_t unit = Device::kAlignment;
    const std::size_t stride = (primitive_.scratch_bytes() + unit - 1) / unit * unit;
    const auto threads = static_cast<std::size_t>(std::min<std::int64_t>(device_.threads(), count_));
    const Storage scratch(device_, threads * stride);
    const OmpThreads one(1);
    parallel_for(device_.threads(), count_, 1, [&](std::int64_t begin, std::int64_t end) {
      const int thread = omp_get_thread_num();
      std::byte* const own = static_cast<std::byte*>(scratch.data()) + static_cast<std::size_t>(thread) * stride;
      for (std::int64_t i = begin; i < end; ++i) run(thread, i, i * images_, own);
    });
  }

  // Between the blocked form of the weights and the plain one.
  void reorder(const float* from, void* to) {
    const OmpThreads all(device_.threads());
    primitive_.reorder(from, static_cast<float*>(to));
  }

 private:
  static ConvPrimitive& prepare(CpuDevice& device, ConvPass pass, const ConvProblem& problem, std::int64_t images,
                                bool bias) {
    ConvPiece piece{.pass = pass, .bias = bias, .problem = problem};
    piece.problem.n = images;
    Convolutions& all = device.local<Convolutions>();
    std::unique_ptr<ConvPrimitive>& slot = all.prepared[piece];
    if (slot == nullptr) {
      const OmpThreads one(1);
      slot = std::make_unique<ConvPrimitive>(all.engine, piece, device.threads());
    }
    return *slot;
  }

  CpuDevice& device_;
  std::int64_t images_;
  std::int64_t count_;
  ConvPrimitive& primitive_;
};

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

void forward(CpuDevice& device, const ConvProblem& p, const float* x, const float* weight, const float* bias,
             float* y) {
  Pieces pieces(device, ConvPass::kForward, p, images_of_piece(p), bias != nullptr);
  ConvPrimitive& primitive = pieces.primitive();
  const Storage blocked(device, primitive.weights_bytes());
  const auto* weights = static_cast<const float*>(blocked.data());
  pieces.reorder(weight, blocked.data());
  pieces.for_each([&](int thread, std::int64_t, std::int64_t image, std::byte* scratch) {
    primitive.run(thread, x + image * p.x_image(), weights, bias, y + image * p.y_image(), scratch);
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

// [O, C, taps] → [C, O, taps in reverse].
void turn_weights(const ConvProblem& p, const float* from, float* to, int threads) {
  const std::int64_t taps = p.kernel[0] * p.kernel[1];
  parallel_for(threads, p.c, row_grain(p.o * taps), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c = begin; c < end; ++c) {
      for (std::int64_t o = 0; o < p.o; ++o)
        std::reverse_copy(from + (o * p.c + c) * taps, from + (o * p.c + c + 1) * taps, to + (c * p.o + o) * taps);
    }
  });
}

void backward_data(CpuDevice& device, const ConvProblem& p, const float* weight, const float* dy, float* dx) {
  if (goes_by_taps(p)) {
    conv2d_backward_data_by_taps(device, p, weight, dy, dx);
    return;
  }
  if (is_convolution_of_dy(p)) {
    const Storage other(device, static_cast<std::size_t>(p.weights()) * sizeof(float));
    auto* const weights = static_cast<float*>(other.data());
    turn_weights(p, weight, weights, device.threads());
    forward(device, turned(p), dy, weights, nullptr, dx);
    return;
  }
  Pieces pieces(device, ConvPass::kBackwardData, p, images_of_piece(p));
  ConvPrimitive& primitive = pieces.primitive();
  const Storage blocked(device, primitive.weights_bytes());
  const auto* weights = static_cast<const float*>(blocked.data());
  pieces.reorder(weight, blocked.data());
  pieces.for_each([&](int thread, std::int64_t, std::int64_t image, std::byte* scratch) {
    primitive.run(thread, dx + image * p.x_image(), weights, nullptr, dy + image * p.y_image(), scratch);
  });
}

// Each piece sums its images; the pieces are added in turn.
void backward_weights(CpuDevice& device, const ConvProblem& p, const float* x, const float* dy, float* dw) {
  Pieces pieces(device, ConvPass::kBackwardWeights, p, images_of_sum(p));
  ConvPrimitive& primitive = pieces.primitive();
  const auto elements = static_cast<std::int64_t>(primitive.weights_bytes() / sizeof(float));
  const Storage sums(device, static_cast<std::size_t>(pieces.count() * elements) * sizeof(float));
  auto* const sum = static_cast<float*>(sums.data());
  pieces.for_each([&](int thread, std::int64_t piece, std::int64_t image, std::byte* scratch) {
    primitive.run(thread, x + image * p.x_image(), sum + piece * elements, nullptr, dy + image * p.y_image(), scratch);
  });
  parallel_for(device.threads(), pieces.count() > 1 ? elements : 0, kGrain, [&](std::int64_t begin, std::int64_t end) {
    constexpr std::int64_t kCached = 4096;
    for (std::int64_t i = begin; i < end; i += kCached) {
      for (std::int64_t piece = 1; piece < pieces.count(); ++piece)
        add_kernel(sum + i, sum + piece * elements + i, sum + i, std::min(kCached, end - i));
    }
  });
  pieces.reorder(sum, dw);
}

}  // namespace

void conv2d_kernel(CpuDevice& device, const ConvProblem& problem, const float* x, const float* weight,
                   const float* bias, float* y) {
  if (problem.n == 0) return;
  if (goes_by_taps(problem)) {
    conv2d_by_taps(device, problem, x, weight, bias, y);
    return;
  }
  guarded(problem, [&] { forward(device, problem, x, weight, bias, y); });
}

void conv2d_backward_data_kernel(CpuDevice& device, const ConvProblem& problem, const float* weight, const float* dy,
                                 float* dx) {
  if (problem.n == 0) return;
  guarded(problem, [&] { backward_data(device, problem, weight, dy, dx); });
}

void conv2d_backward_weights_kernel(CpuDevice& device, const ConvProblem& problem, const float* x, const float* dy,
                                    float* dw) {
  if (problem.n == 0) {
    std::fill_n(dw, problem.weights(), 0.0F);
    return;
  }
  if (sums_by_taps(problem)) {
    conv2d_backward_weights_by_taps(device, problem, x, dy, dw);
    return;
  }
  guarded(problem, [&] { backward_weights(device, problem, x, dy, dw); });
}

}  // namespace convoy
