#include "core/ops/attention.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/graph/apply.h"
#include "core/graph/registry.h"
#include "core/ops/attention_kernels.h"
#include "core/ops/kernel.h"
#include "core/ops/scratch.h"

namespace convoy {
namespace {

// The matrix of head `head` of sequence `sequence` in a [B, T, H, D] tensor of any layout, and those of the `group`
// heads from head · group on.
template <typename T>
HeadMatrix<T> head_of(const Tensor& x, std::int64_t sequence, std::int64_t head) {
  const Shape& strides = x.layout().strides;
  return {x.data<std::remove_const_t<T>>() + sequence * strides[0] + head * strides[2], strides[1], strides[3]};
}
template <typename T>
HeadGroup<T> group_of(const Tensor& x, std::int64_t sequence, std::int64_t head, std::int64_t group) {
  const HeadMatrix<T> first = head_of<T>(x, sequence, head * group);
  return {first.data, x.layout().strides[2], first.time_stride, first.depth_stride};
}

// Heads [begin, begin + heads) of a packed tensor [B, T, columns] as [B, T, heads, depth].
Tensor unpacked(const Tensor& packed, std::int64_t begin, std::int64_t heads, std::int64_t depth) {
  const Layout& from = packed.layout();
  const std::int64_t step = from.strides[2];
  Layout layout;
  layout.shape = {from.shape[0], from.shape[1], heads, depth};
  layout.strides = {from.strides[0], from.strides[1], depth * step, step};
  layout.offset = from.offset + begin * depth * step;
  return packed.view(layout);
}

struct ForwardTensors {
  Tensor q, k, v, out, log_sums;
};

struct BackwardTensors {
  Tensor q, k, v, out, log_sums, dout, dq, dk, dv;
};

AttentionShape shape_of(const Tensor& q, const Tensor& k, const AttentionAttributes& attributes) {
  const std::int64_t depth = q.shape()[3];
  const double scale = attributes.scale != 0 ? attributes.scale : 1 / std::sqrt(static_cast<double>(depth));
  return {.time = q.shape()[1],
          .depth = depth,
          .group = q.shape()[2] / k.shape()[2],
          .causal = attributes.causal,
          .scale = scale};
}

PreparedPtr prepare_forward(const PrepareArgs& args, const ForwardTensors& x, const AttentionAttributes& attributes) {
  if (x.q.elements() == 0) return prepared([] {});
  const AttentionShape shape = shape_of(x.q, x.k, attributes);
  const std::int64_t heads = x.k.shape()[2];
  const std::int64_t groups = x.q.shape()[0] * heads;
  const std::int64_t strips = attention_strips(shape);
  return with_floating(x.q.dtype(), [&]<typename T>(T) {
    const auto group_at = [x, heads, shape](std::int64_t i) {
      const std::int64_t b = i / heads;
      const std::int64_t h = i % heads;
      return AttentionForward<T>{.q = group_of<const T>(x.q, b, h, shape.group),
                                 .k = head_of<const T>(x.k, b, h),
                                 .v = head_of<const T>(x.v, b, h),
                                 .out = group_of<T>(x.out, b, h, shape.group),
                                 .log_sums = x.log_sums.data<Compute<T>>() + i * shape.group * shape.time};
    };
    using Own = WorkerScratch<Compute<T>>;
    const std::int64_t pieces = groups * strips;
    return prepared([scratch = Own(args.scratch, threads_of(args), pieces, attention_forward_scratch(shape)), group_at,
                     shape, strips, pieces] {
      scratch.for_each(pieces, [&](std::int64_t i, Compute<T>* own) {
        const std::int64_t next = std::min(i + 1, pieces - 1);
        attention_forward_kernel(group_at(i / strips), group_at(next / strips), shape, i % strips, own);
      });
    });
  });
}

// Whether the threads are sooner done with the parts of all groups than with the groups. Of 8 to 5: 7 products of
// blocks instead of 5, and blocks that are packed more often.
bool parts_pay(std::int64_t groups, std::int64_t parts, std::int64_t threads) {
  const auto rounds = [threads](std::int64_t pieces) { return (pieces + threads - 1) / threads; };
  return 8 * rounds(groups * parts) < 5 * parts * rounds(groups);
}

PreparedPtr prepare_backward(const PrepareArgs& args, const BackwardTensors& x, const AttentionAttributes& attributes) {
  if (x.q.elements() == 0) return prepared([] {});
  Gapless log_sums(args.scratch, x.log_sums, x.log_sums.is_contiguous());
  const AttentionShape shape = shape_of(x.q, x.k, attributes);
  const std::int64_t heads = x.k.shape()[2];
  const std::int64_t groups = x.q.shape()[0] * heads;
  const std::int64_t parts = attention_backward_parts(shape);
  const bool in_parts = parts_pay(groups, parts, threads_of(args));
  return with_floating(x.q.dtype(), [&]<typename T>(T) {
    const auto group_at = [x, heads, shape, sums = log_sums.tensor().data<Compute<T>>()](std::int64_t i) {
      const std::int64_t b = i / heads;
      const std::int64_t h = i % heads;
      return AttentionBackward<T>{.q = group_of<const T>(x.q, b, h, shape.group),
                                  .k = head_of<const T>(x.k, b, h),
                                  .v = head_of<const T>(x.v, b, h),
                                  .out = group_of<const T>(x.out, b, h, shape.group),
                                  .dout = group_of<const T>(x.dout, b, h, shape.group),
                                  .log_sums = sums + i * shape.group * shape.time,
                                  .dq = group_of<T>(x.dq, b, h, shape.group),
                                  .dk = head_of<T>(x.dk, b, h),
                                  .dv = head_of<T>(x.dv, b, h)};
    };
    const std::int64_t pieces = in_parts ? groups * parts : groups;
    const std::int64_t elements = in_parts ? attention_backward_part_scratch(shape) : attention_backward_scratch(shape);
    return prepared([scratch = WorkerScratch<Compute<T>>(args.scratch, threads_of(args), pieces, elements),
                     copy = log_sums.take_copy(), group_at, shape, groups, parts, pieces, in_parts] {
      copy.run();
      scratch.for_each(pieces, [&](std::int64_t i, Compute<T>* own) {
        if (in_parts) {
          attention_backward_part(group_at(i / parts), shape, i % parts, own);
        } else {
          attention_backward_kernel(group_at(i), group_at(std::min(i + 1, groups - 1)), shape, own);
        }
      });
    });
  });
}

class AttentionOp : public Op {
 public:
  explicit AttentionOp(const AttentionAttributes& attributes) : attributes_(attributes) {}
  void attributes(AttributeVisitor& visitor) const override {
    visitor.visit("causal", std::int64_t{attributes_.causal});
    visitor.visit("scale", attributes_.scale);
  }

 protected:
  AttentionAttributes attributes_;
};

Spec log_sums_spec(const Spec& q, std::int64_t heads) {
  return {compute_dtype(q.dtype), {q.shape[0], heads, q.shape[1]}, q.device};
}

// Whether q [B, T, H, D] and k, v [B, T, G, D] have H a multiple of G.
bool are_grouped(const Spec& q, const Spec& k, const Spec& v) {
  if (q.shape.rank() != 4 || k.shape.rank() != 4 || v != k) return false;
  Shape shape = q.shape;
  shape[2] = k.shape[2];
  return k.shape == shape && shape[2] > 0 && q.shape[2] % shape[2] == 0;
}

// `products` of [T, D] with [T, D] for every sequence and head, of which a mask leaves half; B·T·H·D elements in `q`.
Cost attention_cost(double products, const Spec& q, std::int64_t time, bool causal, std::span<const Spec> in,
                    std::span<const Spec> out) {
  const double keys = causal ? static_cast<double>(time + 1) / 2.0 : static_cast<double>(time);
  return {.flops = 2.0 * products * static_cast<double>(q.shape.elements()) * keys, .bytes = bytes_of(in, out)};
}
constexpr double kForwardProducts = 2;   // scores; what they weigh
constexpr double kBackwardProducts = 5;  // scores again, their gradient, dq, dk, dv

// (q, k, v, out, log_sums, dout) → (dq, dk, dv)
class SeparateBackward final : public AttentionOp {
 public:
  using AttentionOp::AttentionOp;
  std::string_view name() const override { return "attention_backward"; }
  Traits traits() const override { return {.strided = true, .differentiable = false}; }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 6);
    check_floating(name(), in.first(4));
    const Spec& q = in[0];
    if (!are_grouped(q, in[1], in[2]) || in[3] != q || in[5] != q || in[4] != log_sums_spec(q, q.shape[2]))
      refuse(name(), in,
             "q, out and dout [B, T, H, D], k and v [B, T, G, D] with H a multiple of G, log-sums [B, H, T], f32 for "
             "bf16");
    return {q, in[1], in[1]};
  }
  Cost cost(std::span<const Spec> in, std::span<const Spec> out) const override {
    return attention_cost(kBackwardProducts, in[0], in[0].shape[1], attributes_.causal, in, out);
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return prepare_backward(args,
                            {.q = args.inputs[0],
                             .k = args.inputs[1],
                             .v = args.inputs[2],
                             .out = args.inputs[3],
                             .log_sums = args.inputs[4],
                             .dout = args.inputs[5],
                             .dq = args.outputs[0],
                             .dk = args.outputs[1],
                             .dv = args.outputs[2]},
                            attributes_);
  }
};

// (q, k, v) → (out, log_sums)
class Separate final : public AttentionOp {
 public:
  using AttentionOp::AttentionOp;
  std::string_view name() const override { return "attention"; }
  Traits traits() const override { return {.strided = true}; }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 3);
    check_floating(name(), in);
    const Spec& q = in[0];
    if (!are_grouped(q, in[1], in[2]))
      refuse(name(), in, "q [B, T, H, D], k and v [B, T, G, D] with H a multiple of G");
    return {q, log_sums_spec(q, q.shape[2])};
  }
  Tensors vjp(const VjpArgs& args) const override {
    return attention_backward(args.inputs[0], args.inputs[1], args.inputs[2], args.outputs[0], args.outputs[1],
                              args.gradients[0], attributes_);
  }
  Cost cost(std::span<const Spec> in, std::span<const Spec> out) const override {
    return attention_cost(kForwardProducts, in[0], in[0].shape[1], attributes_.causal, in, out);
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return prepare_forward(args, {args.inputs[0], args.inputs[1], args.inputs[2], args.outputs[0], args.outputs[1]},
                           attributes_);
  }
};

class PackedOp : public AttentionOp {
 public:
  PackedOp(const PackedHeads& heads, const AttentionAttributes& attributes) : AttentionOp(attributes), heads_(heads) {}
  Traits traits() const override { return {.strided = true}; }
  void attributes(AttributeVisitor& visitor) const override {
    visitor.visit("heads", heads_.query);
    visitor.visit("kv_heads", heads_.key);
    AttentionOp::attributes(visitor);
  }

 protected:
  std::int64_t all_heads() const { return heads_.query + 2 * heads_.key; }
  // The spec of the result for that of qkv; throws for anything else than [B, T, (heads + 2·kv_heads)·D].
  Spec out_spec(std::span<const Spec> in) const {
    const Spec& qkv = in[0];
    if (heads_.query < 1 || heads_.key < 1 || heads_.query % heads_.key != 0 || qkv.shape.rank() != 3 ||
        qkv.shape[2] % all_heads() != 0)
      refuse(name(), in,
             fmt::format("qkv [B, T, ({} + 2·{})·D], of {} heads a multiple of {} key heads", heads_.query, heads_.key,
                         heads_.query, heads_.key));
    return {qkv.dtype, {qkv.shape[0], qkv.shape[1], qkv.shape[2] / all_heads() * heads_.query}, qkv.device};
  }
  Tensor queries(const Tensor& packed) const { return unpacked(packed, 0, heads_.query, depth(packed)); }
  Tensor keys(const Tensor& packed) const { return unpacked(packed, heads_.query, heads_.key, depth(packed)); }
  Tensor values(const Tensor& packed) const {
    return unpacked(packed, heads_.query + heads_.key, heads_.key, depth(packed));
  }
  Tensor result(const Tensor& out) const { return unpacked(out, 0, heads_.query, out.shape()[2] / heads_.query); }
  PackedHeads heads_;

 private:
  std::int64_t depth(const Tensor& packed) const { return packed.shape()[2] / all_heads(); }
};

// (qkv, out, log_sums, dout) → dqkv
class PackedBackward final : public PackedOp {
 public:
  using PackedOp::PackedOp;
  std::string_view name() const override { return "self_attention_backward"; }
  Traits traits() const override { return {.strided = true, .differentiable = false}; }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 4);
    check_floating(name(), in.first(2));
    const Spec out = out_spec(in);
    if (in[1] != out || in[3] != out || in[2] != log_sums_spec(out, heads_.query))
      refuse(name(), in,
             fmt::format("qkv [B, T, ({} + 2·{})·D], out and dout {} log-sums [B, {}, T], f32 for bf16", heads_.query,
                         heads_.key, out.shape.to_string(), heads_.query));
    return {in[0]};
  }
  Cost cost(std::span<const Spec> in, std::span<const Spec> out) const override {
    return attention_cost(kBackwardProducts, in[1], in[1].shape[1], attributes_.causal, in, out);
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    const Tensor& qkv = args.inputs[0];
    const Tensor& dqkv = args.outputs[0];
    return prepare_backward(args,
                            {.q = queries(qkv),
                             .k = keys(qkv),
                             .v = values(qkv),
                             .out = result(args.inputs[1]),
                             .log_sums = args.inputs[2],
                             .dout = result(args.inputs[3]),
                             .dq = queries(dqkv),
                             .dk = keys(dqkv),
                             .dv = values(dqkv)},
                            attributes_);
  }
};

// qkv → (out, log_sums)
class Packed final : public PackedOp {
 public:
  using PackedOp::PackedOp;
  std::string_view name() const override { return "self_attention"; }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 1);
    check_floating(name(), in);
    const Spec out = out_spec(in);
    return {out, log_sums_spec(out, heads_.query)};
  }
  Tensors vjp(const VjpArgs& args) const override {
    return {self_attention_backward(args.inputs[0], args.outputs[0], args.outputs[1], args.gradients[0], heads_,
                                    attributes_)};
  }
  Cost cost(std::span<const Spec> in, std::span<const Spec> out) const override {
    return attention_cost(kForwardProducts, out[0], out[0].shape[1], attributes_.causal, in, out);
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    const Tensor& qkv = args.inputs[0];
    return prepare_forward(args, {queries(qkv), keys(qkv), values(qkv), result(args.outputs[0]), args.outputs[1]},
                           attributes_);
  }
};

const RegisterOp kSeparate("attention", []() -> OpPtr { return std::make_shared<Separate>(AttentionAttributes{}); });
const RegisterOp kSeparateBackward("attention_backward",
                                   []() -> OpPtr { return std::make_shared<SeparateBackward>(AttentionAttributes{}); });
const RegisterOp kPacked("self_attention");
const RegisterOp kPackedBackward("self_attention_backward");

}  // namespace

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionAttributes& attributes) {
  return apply_one(std::make_shared<Separate>(attributes), {q, k, v});
}

Tensor self_attention(const Tensor& qkv, const PackedHeads& heads, const AttentionAttributes& attributes) {
  return apply_one(std::make_shared<Packed>(heads, attributes), {qkv});
}

Tensors attention_backward(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out, const Tensor& log_sums,
                           const Tensor& dout, const AttentionAttributes& attributes) {
  return convoy::apply(std::make_shared<SeparateBackward>(attributes), Tensors{q, k, v, out, log_sums, dout});
}

Tensor self_attention_backward(const Tensor& qkv, const Tensor& out, const Tensor& log_sums, const Tensor& dout,
                               const PackedHeads& heads, const AttentionAttributes& attributes) {
  return apply_one(std::make_shared<PackedBackward>(heads, attributes), {qkv, out, log_sums, dout});
}

}  // namespace convoy
