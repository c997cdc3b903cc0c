#include "core/ops/conv_primitive.h"

#include "core/base/error.h"
#include "core/ops/onednn.h"

namespace convoy {
namespace {

using dnnl::memory;
using Dims = memory::dims;
using Type = memory::data_type;

memory::desc images(const ConvPiece& piece, std::int64_t channels, const std::array<std::int64_t, 2>& extents) {
  return {Dims{piece.problem.n, channels, extents[0], extents[1]}, piece.bf16 ? Type::bf16 : Type::f32,
          memory::format_tag::nhwc};
}
memory::desc x_of(const ConvPiece& piece) { return images(piece, piece.problem.c, piece.problem.in); }
memory::desc y_of(const ConvPiece& piece) { return images(piece, piece.problem.o, piece.problem.out); }
memory::desc bias_of(const ConvPiece& piece) { return {Dims{piece.problem.o}, Type::f32, memory::format_tag::a}; }

memory::desc weights_of(const ConvProblem& p, bool plain, Type type) {
  using Tag = memory::format_tag;
  if (p.groups == 1) return {Dims{p.o, p.c, p.kernel[0], p.kernel[1]}, type, plain ? Tag::oihw : Tag::any};
  return {Dims{p.groups, p.o / p.groups, p.c / p.groups, p.kernel[0], p.kernel[1]}, type,
          plain ? Tag::goihw : Tag::any};
}

// The primitive of a piece and what differs between the passes.
struct Chosen {
  dnnl::primitive primitive;
  memory::desc weights, scratch;
  int x, w, y;  // argument names
};

Chosen choose(const dnnl::engine& engine, const ConvPiece& piece) {
  const ConvProblem& p = piece.problem;
  const memory::desc x = x_of(piece);
  const memory::desc y = y_of(piece);
  const memory::desc weights = weights_of(p, false, piece.bf16 ? Type::bf16 : Type::f32);
  const Dims stride{p.stride[0], p.stride[1]};
  const Dims dilation{p.dilation[0] - 1, p.dilation[1] - 1};
  const Dims padding{p.padding[0], p.padding[1]};
  constexpr auto kDirect = dnnl::algorithm::convolution_direct;
  constexpr auto kTraining = dnnl::prop_kind::forward_training;
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);

  using Forward = dnnl::convolution_forward;
  const memory::desc bias = bias_of(piece);
  const Forward::primitive_desc forward(
      piece.bias ? Forward::desc(kTraining, kDirect, x, weights, bias, y, stride, dilation, padding, padding)
                 : Forward::desc(kTraining, kDirect, x, weights, y, stride, dilation, padding, padding),
      attributes, engine);
  if (piece.pass == ConvPass::kBackwardData) {
    using Backward = dnnl::convolution_backward_data;
    const Backward::primitive_desc chosen(Backward::desc(kDirect, x, weights, y, stride, dilation, padding, padding),
                                          attributes, engine, forward);
    return {Backward(chosen),  chosen.weights_desc(), chosen.scratchpad_desc(),
            DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS,      DNNL_ARG_DIFF_DST};
  }
  if (piece.pass == ConvPass::kBackwardWeights) {
    using Backward = dnnl::convolution_backward_weights;
    const memory::desc gradient = weights_of(p, false, Type::f32);
    const Backward::primitive_desc chosen(Backward::desc(kDirect, x, gradient, y, stride, dilation, padding, padding),
                                          attributes, engine, forward);
    return {Backward(chosen), chosen.diff_weights_desc(), chosen.scratchpad_desc(),
            DNNL_ARG_SRC,     DNNL_ARG_DIFF_WEIGHTS,      DNNL_ARG_DIFF_DST};
  }
  return {Forward(forward), forward.weights_desc(), forward.scratchpad_desc(),
          DNNL_ARG_SRC,     DNNL_ARG_WEIGHTS,       DNNL_ARG_DST};
}

void check(dnnl_status_t status) {
  if (status != dnnl_success)
    fail(ErrorCode::kInternal, "conv2d: oneDNN refused to run with status {}", static_cast<int>(status));
}

}  // namespace

ConvPrimitive::ConvPrimitive(const dnnl::engine& engine, const ConvPiece& piece, int threads)
    : arguments_used_(piece.bias ? 5 : 4), weights_read_(piece.pass != ConvPass::kBackwardWeights), stream_(engine) {
  const Chosen chosen = choose(engine, piece);
  primitive_ = chosen.primitive;
  scratch_bytes_ = chosen.scratch.get_size();
  blocked_ = memory(chosen.weights, engine, nullptr);
  for (int i = 0; i < threads; ++i) {
    Arguments a{.x = memory(x_of(piece), engine, nullptr),
                .weights = weights_read_ ? blocked_ : memory(chosen.weights, engine, nullptr),
                .bias = memory(bias_of(piece), engine, nullptr),
                .y = memory(y_of(piece), engine, nullptr),
                .scratch = memory(chosen.scratch, engine, nullptr),
                .stream = dnnl::stream(engine),
                .list = {}};
    a.list = {{{chosen.x, a.x.get()},
               {chosen.w, a.weights.get()},
               {chosen.y, a.y.get()},
               {DNNL_ARG_SCRATCHPAD, a.scratch.get()},
               {DNNL_ARG_BIAS, a.bias.get()}}};
    threads_.push_back(std::move(a));
  }
  plain_ = memory(weights_of(piece.problem, true, Type::f32), engine, nullptr);
  reorder_ = weights_read_ ? dnnl::reorder(plain_, blocked_) : dnnl::reorder(blocked_, plain_);
}

void ConvPrimitive::reorder(const void* from, void* to) {
  const memory& source = weights_read_ ? plain_ : blocked_;
  const memory& target = weights_read_ ? blocked_ : plain_;
  point(source, from);
  point(target, to);
  const std::array<dnnl_exec_arg_t, 2> list{{{DNNL_ARG_FROM, source.get()}, {DNNL_ARG_TO, target.get()}}};
  check(dnnl_primitive_execute(reorder_.get(), stream_.get(), 2, list.data()));
}

dnnl_status_t ConvPrimitive::run(int thread, const void* x, const void* weights, const float* bias, const void* y,
                                 std::byte* scratch) {
  const Arguments& a = threads_[static_cast<std::size_t>(thread)];
  point(a.x, x);
  if (!weights_read_) point(a.weights, weights);
  point(a.y, y);
  point(a.scratch, scratch);
  if (arguments_used_ == 5) point(a.bias, bias);
  return dnnl_primitive_execute(primitive_.get(), a.stream.get(), arguments_used_, a.list.data());
}

}  // namespace convoy
