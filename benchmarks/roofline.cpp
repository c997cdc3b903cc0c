// How fast oneDNN alone runs given products and convolutions here, and how fast memory is read and written: what the
// steps of a training run are measured against.
//
//   benchmark_roofline THREADS < SHAPES
//
// One line of SHAPES a question: `gemm f32|bf16 M N K COUNT` (row-major, result in the same type),
// `conv f32|bf16 N H W C O KERNEL STRIDE COUNT` (nhwc, direct, forward + both gradients), or `bytes B` (half read, half
// written). Prints the milliseconds of each line, all of its COUNT repetitions together, at the best rate seen.
#include <omp.h>

#include <chrono>
#include <cstdint>
#include <cstring>
#include <dnnl.hpp>
#include <functional>
#include <iostream>
#include <limits>
#include <sstream>
#include <string>
#include <unordered_map>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using Arguments = std::unordered_map<int, dnnl::memory>;
using Type = dnnl::memory::data_type;
using Tag = dnnl::memory::format_tag;

struct Runner {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};

  dnnl::memory memory(const dnnl::memory::desc& description) {
    dnnl::memory result(description, engine);
    std::memset(result.get_data_handle(), 0, description.get_size());
    return result;
  }

  // The shortest of several runs, in milliseconds.
  static double best_ms(const std::function<void()>& run) {
    run();
    double best = std::numeric_limits<double>::infinity();
    const Clock::time_point begin = Clock::now();
    for (int i = 0; i < 50 && (i < 5 || Clock::now() - begin < std::chrono::milliseconds(300)); ++i) {
      const Clock::time_point start = Clock::now();
      run();
      best = std::min(best, std::chrono::duration<double, std::milli>(Clock::now() - start).count());
    }
    return best;
  }

  double run(const dnnl::primitive& primitive, const Arguments& arguments) {
    return best_ms([&] {
      primitive.execute(stream, arguments);
      stream.wait();
    });
  }

  double gemm(Type type, std::int64_t m, std::int64_t n, std::int64_t k) {
    const dnnl::memory::desc a({m, k}, type, Tag::ab), b({k, n}, type, Tag::any), c({m, n}, type, Tag::ab);
    const dnnl::matmul::primitive_desc description(dnnl::matmul::desc(a, b, c), engine);
    return run(
        dnnl::matmul(description),
        {{DNNL_ARG_SRC, memory(a)}, {DNNL_ARG_WEIGHTS, memory(description.weights_desc())}, {DNNL_ARG_DST, memory(c)}});
  }

  // Forward and both gradients.
  double convolution(Type type, const std::vector<std::int64_t>& s) {
    const std::int64_t n = s[0], h = s[1], w = s[2], c = s[3], o = s[4], kernel = s[5], stride = s[6];
    const std::int64_t pad = kernel / 2;
    const std::int64_t out_h = (h + 2 * pad - kernel) / stride + 1, out_w = (w + 2 * pad - kernel) / stride + 1;
    const dnnl::memory::desc x({n, c, h, w}, type, Tag::nhwc), y({n, o, out_h, out_w}, type, Tag::nhwc);
    const dnnl::memory::desc weight({o, c, kernel, kernel}, type, Tag::any);
    const dnnl::memory::dims strides{stride, stride}, padding{pad, pad};
    constexpr auto kDirect = dnnl::algorithm::convolution_direct;
    const dnnl::convolution_forward::primitive_desc forward(
        {dnnl::prop_kind::forward_training, kDirect, x, weight, y, strides, padding, padding}, engine);
    double ms =
        run(dnnl::convolution_forward(forward),
            {{DNNL_ARG_SRC, memory(x)}, {DNNL_ARG_WEIGHTS, memory(forward.weights_desc())}, {DNNL_ARG_DST, memory(y)}});
    if (c > 4) {  // the first layer's input has no gradient
      const dnnl::convolution_backward_data::primitive_desc data({kDirect, x, weight, y, strides, padding, padding},
                                                                 engine, forward);
      ms += run(dnnl::convolution_backward_data(data), {{DNNL_ARG_DIFF_SRC, memory(x)},
                                                        {DNNL_ARG_WEIGHTS, memory(data.weights_desc())},
                                                        {DNNL_ARG_DIFF_DST, memory(y)}});
    }
    const dnnl::convolution_backward_weights::primitive_desc weights({kDirect, x, weight, y, strides, padding, padding},
                                                                     engine, forward);
    return ms + run(dnnl::convolution_backward_weights(weights),
                    {{DNNL_ARG_SRC, memory(x)},
                     {DNNL_ARG_DIFF_WEIGHTS, memory(weights.diff_weights_desc())},
                     {DNNL_ARG_DIFF_DST, memory(y)}});
  }

  // Milliseconds for each byte, read or written, outside of caches.
  static double ms_per_byte() {
    constexpr std::size_t kBytes = 128 << 20;
    std::vector<char> from(kBytes), to(kBytes);
    return best_ms([&] {
             const int threads = omp_get_max_threads();
#pragma omp parallel for
             for (int i = 0; i < threads; ++i)
               std::memcpy(to.data() + kBytes / threads * i, from.data() + kBytes / threads * i, kBytes / threads);
           }) /
           (2.0 * kBytes);
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: benchmark_roofline THREADS < SHAPES\n";
    return 2;
  }
  omp_set_num_threads(std::stoi(argv[1]));
  Runner runner;
  std::unordered_map<std::string, double> known;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string kind, type;
    words >> kind;
    if (kind != "bytes") words >> type;
    std::vector<std::int64_t> numbers(kind == "gemm" ? 3 : kind == "conv" ? 7 : 0);
    for (std::int64_t& number : numbers) words >> number;
    double count = 0;
    if (!(words >> count)) {
      std::cerr << "not a question: " << line << '\n';
      return 2;
    }
    const std::string key = line.substr(0, line.rfind(' '));
    if (!known.contains(key)) {
      const Type element = type == "bf16" ? Type::bf16 : Type::f32;
      known[key] = kind == "bytes"  ? Runner::ms_per_byte()
                   : kind == "gemm" ? runner.gemm(element, numbers[0], numbers[1], numbers[2])
                                    : runner.convolution(element, numbers);
    }
    std::cout << known[key] * count << "  " << line << std::endl;
  }
}
