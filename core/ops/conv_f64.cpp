// The f64 kernels: plain loops, for checking gradients numerically.
#include <algorithm>

#include "core/device/parallel.h"
#include "core/ops/conv_kernels.h"

namespace convoy {
namespace {

// Calls visit(ky, kx, y, x) for every tap of the output at (oy, ox) that lies inside the image.
template <typename Visit>
void for_each_tap(const ConvProblem& p, std::int64_t oy, std::int64_t ox, const Visit& visit) {
  for (std::int64_t ky = 0; ky < p.kernel[0]; ++ky) {
    const std::int64_t y = oy * p.stride[0] - p.padding[0] + ky * p.dilation[0];
    if (y < 0 || y >= p.in[0]) continue;
    for (std::int64_t kx = 0; kx < p.kernel[1]; ++kx) {
      const std::int64_t x = ox * p.stride[1] - p.padding[1] + kx * p.dilation[1];
      if (x >= 0 && x < p.in[1]) visit(ky, kx, y, x);
    }
  }
}

// Calls visit(x element, weight element, y element) for every product of image `image` that output channel `o` sums.
template <typename Visit>
void for_each_product(const ConvProblem& p, std::int64_t image, std::int64_t o, const Visit& visit) {
  const std::int64_t depth = p.c / p.groups;
  const std::int64_t first = o / (p.o / p.groups) * depth;
  const std::int64_t taps = p.kernel[0] * p.kernel[1];
  for (std::int64_t oy = 0; oy < p.out[0]; ++oy) {
    for (std::int64_t ox = 0; ox < p.out[1]; ++ox) {
      const std::int64_t to = image * p.y_image() + (oy * p.out[1] + ox) * p.o + o;
      for_each_tap(p, oy, ox, [&](std::int64_t ky, std::int64_t kx, std::int64_t y, std::int64_t x) {
        const std::int64_t from = image * p.x_image() + (y * p.in[1] + x) * p.c + first;
        const std::int64_t tap = ky * p.kernel[1] + kx;
        for (std::int64_t c = 0; c < depth; ++c) visit(from + c, (o * depth + c) * taps + tap, to);
      });
    }
  }
}

void forward(int threads, const ConvProblem& problem, const double* x, const double* weight, const double* bias,
             double* y) {
  parallel_for(threads, problem.n, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin * problem.y_image(); i < end * problem.y_image(); ++i)
      y[i] = bias == nullptr ? 0.0 : bias[i % problem.o];
    for (std::int64_t image = begin; image < end; ++image) {
      for (std::int64_t o = 0; o < problem.o; ++o) {
        for_each_product(problem, image, o,
                         [&](std::int64_t i, std::int64_t k, std::int64_t j) { y[j] += x[i] * weight[k]; });
      }
    }
  });
}

void backward_data(int threads, const ConvProblem& problem, const double* dy, const double* weight, double* dx) {
  parallel_for(threads, problem.n, 1, [&](std::int64_t begin, std::int64_t end) {
    std::fill(dx + begin * problem.x_image(), dx + end * problem.x_image(), 0.0);
    for (std::int64_t image = begin; image < end; ++image) {
      for (std::int64_t o = 0; o < problem.o; ++o) {
        for_each_product(problem, image, o,
                         [&](std::int64_t i, std::int64_t k, std::int64_t j) { dx[i] += dy[j] * weight[k]; });
      }
    }
  });
}

void backward_weights(int threads, const ConvProblem& problem, const double* x, const double* dy, double* dw) {
  const std::int64_t each = problem.weights() / problem.o;
  parallel_for(threads, problem.o, 1, [&](std::int64_t begin, std::int64_t end) {
    std::fill(dw + begin * each, dw + end * each, 0.0);
    for (std::int64_t o = begin; o < end; ++o) {
      for (std::int64_t image = 0; image < problem.n; ++image) {
        for_each_product(problem, image, o,
                         [&](std::int64_t i, std::int64_t k, std::int64_t j) { dw[k] += x[i] * dy[j]; });
      }
    }
  });
}

}  // namespace

PreparedPtr prepare_conv2d(CpuDevice& device, Scratch&, const ConvProblem& problem, const double* x,
                           const double* weight, const double* bias, double* y) {
  return prepared([=, threads = device.threads()] { forward(threads, problem, x, weight, bias, y); });
}

PreparedPtr prepare_conv2d_backward_data(CpuDevice& device, Scratch&, const ConvProblem& problem, const double* dy,
                                         const double* weight, double* dx) {
  return prepared([=, threads = device.threads()] { backward_data(threads, problem, dy, weight, dx); });
}

PreparedPtr prepare_conv2d_backward_weights(CpuDevice& device, Scratch&, const ConvProblem& problem, const double* x,
                                            const double* dy, double* dw) {
  return prepared([=, threads = device.threads()] { backward_weights(threads, problem, x, dy, dw); });
}

}  // namespace convoy
