#include "core/ops/conv_pieces.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/device/parallel.h"
#include "core/ops/elementwise_kernels.h"
#include "core/ops/onednn.h"
#include "core/ops/primitive_cache.h"

namespace convoy {
namespace {

// A device's engine, its primitives, and the blocked forms that they ask for.
struct Convolutions {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  PrimitiveCache<ConvPiece, ConvPrimitive> primitives;
  std::vector<dnnl::memory::desc> layouts;

  std::shared_ptr<ConvPrimitive> find(const ConvPiece& piece, int threads) {
    return primitives.find(piece, [&] {
      const OmpThreads one(1);
      return ConvPrimitive(engine, piece, threads);
    });
  }

  std::int64_t number_of(const dnnl::memory::desc& layout) {
    const auto known = std::find(layouts.begin(), layouts.end(), layout);
    const std::int64_t number = known - layouts.begin();
    if (known == layouts.end()) layouts.push_back(layout);
    return number;
  }
};

// The smallest divisor of n that is at least `wanted`: pieces of one size need one primitive.
std::int64_t divisor_from(std::int64_t n, std::int64_t wanted) {
  std::int64_t divisor = std::min(n, wanted);
  while (n % divisor != 0) ++divisor;
  return divisor;
}

constexpr std::size_t kUnit = Device::kAlignment;
std::size_t up(std::size_t bytes) { return (bytes + kUnit - 1) / kUnit * kUnit; }

const void* advanced(const void* data, std::size_t bytes) { return static_cast<const std::byte*>(data) + bytes; }

}  // namespace

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

std::int64_t images_of_sum(const ConvProblem& p) {
  constexpr std::int64_t kPixels = 1000;
  constexpr std::int64_t kMostPieces = 16;
  const std::int64_t pieces = std::min(kMostPieces, p.n * p.out[0] * p.out[1] / kPixels + 1);
  return divisor_from(p.n, std::max((p.n + pieces - 1) / pieces, images_of_piece(p)));
}

ConvPieces::ConvPieces(CpuDevice& device, Scratch& scratch, ConvPass pass, const ConvProblem& problem,
                       std::int64_t images, const ConvImages& in, bool bias)
    : device_(device), pass_(pass), piece_(problem), bf16_(in.bf16), widened_(in.widened), count_(problem.n / images) {
  piece_.n = images;
  auto& convolutions = device.local<Convolutions>();
  primitive_ =
      convolutions.find({.pass = pass, .bias = bias, .bf16 = bf16_ && !widened_, .problem = piece_}, device.threads());
  layout_ = convolutions.number_of(primitive_->blocked());
  status_.resize(static_cast<std::size_t>(std::min<std::int64_t>(device.threads(), count_)));
  const std::size_t own =
      up(primitive_->scratch_bytes()) + widened_bytes(piece_.x_image()) + widened_bytes(piece_.y_image());
  room_ = static_cast<std::byte*>(scratch.take(status_.size() * own));
}

// Of a piece of images of so many elements.
std::size_t ConvPieces::widened_bytes(std::int64_t image) const {
  return widened_ ? up(static_cast<std::size_t>(piece_.n * image) * sizeof(float)) : 0;
}

void ConvPieces::run(const Operands& operands) const {
  const std::size_t scratch = up(primitive_->scratch_bytes());
  const std::size_t x = widened_bytes(piece_.x_image());
  const std::size_t stride = scratch + x + widened_bytes(piece_.y_image());
  if (pass_ != ConvPass::kBackwardWeights) primitive_->read_weights(operands.weights);
  std::fill(status_.begin(), status_.end(), dnnl_success);
  const OmpThreads one(1);
  parallel_for(device_.threads(), count_, 1, [&](std::int64_t begin, std::int64_t end) {
    const int thread = omp_get_thread_num();
    dnnl_status_t& own_status = status_[static_cast<std::size_t>(thread)];
    std::byte* const own = room_ + static_cast<std::size_t>(thread) * stride;
    const Room room{
        .scratch = own, .x = reinterpret_cast<float*>(own + scratch), .y = reinterpret_cast<float*>(own + scratch + x)};
    for (std::int64_t piece = begin; piece < end && own_status == dnnl_success; ++piece)
      own_status = run_piece(operands, piece, thread, room);
  });
  for (const dnnl_status_t each : status_) {
    if (each != dnnl_success)
      fail(ErrorCode::kInternal, "conv2d: oneDNN refused to run with status {}", static_cast<int>(each));
  }
}

dnnl_status_t ConvPieces::run_piece(const Operands& operands, std::int64_t piece, int thread, const Room& room) const {
  const std::int64_t x_elements = piece_.n * piece_.x_image();
  const std::int64_t y_elements = piece_.n * piece_.y_image();
  const std::size_t element = bf16_ ? sizeof(bfloat16) : sizeof(float);
  const void* const x = advanced(operands.x, static_cast<std::size_t>(piece * x_elements) * element);
  const void* const y = advanced(operands.y, static_cast<std::size_t>(piece * y_elements) * element);
  const void* const weights = advanced(operands.weights, static_cast<std::size_t>(piece) * operands.weights_step);
  if (!widened_) return primitive_->run(thread, x, weights, operands.bias, y, room.scratch);
  // oneDNN's interface names what is written as it does what is read.
  const auto rounded = [](const void* to) { return static_cast<bfloat16*>(const_cast<void*>(to)); };
  if (pass_ != ConvPass::kBackwardData) convert_kernel(static_cast<const bfloat16*>(x), room.x, x_elements);
  if (pass_ != ConvPass::kForward) convert_kernel(static_cast<const bfloat16*>(y), room.y, y_elements);
  const dnnl_status_t status = primitive_->run(thread, room.x, weights, operands.bias, room.y, room.scratch);
  if (pass_ == ConvPass::kForward) convert_kernel(room.y, rounded(y), y_elements);
  if (pass_ == ConvPass::kBackwardData) convert_kernel(room.x, rounded(x), x_elements);
  return status;
}

void ConvPieces::reorder(const void* from, void* to) const {
  const OmpThreads all(device_.threads());
  primitive_->reorder(from, to);
}

}  // namespace convoy
