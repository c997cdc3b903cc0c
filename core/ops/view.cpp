#include "core/ops/view.h"

#include <cstring>

#include "core/graph/apply.h"
#include "core/graph/registry.h"
#include "core/ops/kernel.h"
#include "core/ops/reduce.h"
#include "core/tensor/element_copy.h"

namespace convoy {
namespace {

std::span<const std::int64_t> span_of(const Shape& shape) {
  return {shape.begin(), static_cast<std::size_t>(shape.rank())};
}

class ViewOp : public Op {
 public:
  Traits traits() const override { return {.view = true, .gradient_reads_inputs = 0, .gradient_reads_outputs = 0}; }
};

class Reshape final : public ViewOp {
 public:
  explicit Reshape(const Shape& shape) : shape_(shape) {}
  std::string_view name() const override { return "reshape"; }
  void attributes(AttributeVisitor& visitor) const override { visitor.visit("shape", span_of(shape_)); }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 1);
    return {{in[0].dtype, resolved(in[0].shape), in[0].device}};
  }
  Tensors vjp(const VjpArgs& args) const override { return {reshape(args.gradients[0], args.inputs[0].shape())}; }

  // Each group of input dimensions that steps evenly is cut anew; a cut across groups needs a copy.
  std::optional<Layout> view(const Layout& in) const override {
    Layout out = Layout::contiguous(resolved(in.shape));
    out.offset = in.offset;
    if (in.is_contiguous()) return out;
    int from = 0;
    int to = 0;
    while (from < in.shape.rank() || to < out.shape.rank()) {
      const int first = to;
      std::int64_t have = from < in.shape.rank() ? in.shape[from++] : 1;
      std::int64_t want = to < out.shape.rank() ? out.shape[to++] : 1;
      std::int64_t stride = from > 0 ? in.strides[from - 1] : 1;
      while (have != want) {
        if (have < want) {
          if (in.shape[from] != 1) {
            if (have != 1 && stride != in.strides[from] * in.shape[from]) return std::nullopt;
            stride = in.strides[from];
          }
          have *= in.shape[from++];
        } else {
          want *= out.shape[to++];
        }
      }
      for (int i = to - 1; i >= first; --i) {
        out.strides[i] = stride;
        stride *= out.shape[i];
      }
    }
    return out;
  }

 private:
  Shape resolved(const Shape& from) const {
    Shape to = shape_;
    int free = -1;
    std::int64_t product = 1;
    bool sound = true;
    for (int i = 0; i < to.rank(); ++i) {
      if (to[i] == -1 && free < 0) {
        free = i;
      } else {
        sound = sound && to[i] >= 0;
        product *= to[i];
      }
    }
    if (free >= 0 && product > 0) {
      to[free] = from.elements() / product;
      product *= to[free];
    }
    if (!sound || (free >= 0 && to[free] < 0) || product != from.elements())
      fail(ErrorCode::kInvalidArgument,
           "reshape: shape {} to {}; expected a shape of {} elements, at most one extent -1", from.to_string(),
           shape_.to_string(), from.elements());
    return to;
  }

  Shape shape_;
};

class Permute final : public ViewOp {
 public:
  explicit Permute(const Shape& axes) : axes_(axes) {}
  std::string_view name() const override { return "permute"; }
  void attributes(AttributeVisitor& visitor) const override { visitor.visit("axes", span_of(axes_)); }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 1);
    const Shape& shape = in[0].shape;
    std::uint32_t seen = 0;
    Shape out;
    for (const std::int64_t axis : axes_) {
      const int from = normal_axis(name(), axis, shape);
      seen |= 1u << from;
      out.append(shape[from]);
    }
    if (axes_.rank() != shape.rank() || seen != (1u << shape.rank()) - 1)
      fail(ErrorCode::kInvalidArgument, "permute: axes {} of shape {}; expected each axis once", axes_.to_string(),
           shape.to_string());
    return {{in[0].dtype, out, in[0].device}};
  }
  Tensors vjp(const VjpArgs& args) const override {
    Shape inverse = axes_;
    for (int i = 0; i < axes_.rank(); ++i) inverse[static_cast<int>(axes_[i])] = i;
    return {permute(args.gradients[0], span_of(inverse))};
  }
  std::optional<Layout> view(const Layout& in) const override {
    Layout out = in;
    for (int i = 0; i < axes_.rank(); ++i) {
      out.shape[i] = in.shape[static_cast<int>(axes_[i])];
      out.strides[i] = in.strides[static_cast<int>(axes_[i])];
    }
    return out;
  }

 private:
  Shape axes_;
};

class Slice final : public ViewOp {
 public:
  Slice(int axis, std::int64_t begin, std::int64_t end) : axis_(axis), begin_(begin), end_(end) {}
  std::string_view name() const override { return "slice"; }
  void attributes(AttributeVisitor& visitor) const override {
    visitor.visit("axis", std::int64_t{axis_});
    visitor.visit("begin", begin_);
    visitor.visit("end", end_);
  }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 1);
    Shape shape = in[0].shape;
    const int axis = normal_axis(name(), axis_, shape);
    if (begin_ < 0 || begin_ > end_ || end_ > shape[axis])
      fail(ErrorCode::kInvalidArgument, "slice: [{}, {}) of axis {} of shape {}; expected a range within {}", begin_,
           end_, axis_, shape.to_string(), shape[axis]);
    shape[axis] = end_ - begin_;
    return {{in[0].dtype, shape, in[0].device}};
  }
  Tensors vjp(const VjpArgs& args) const override {
    return {pad(args.gradients[0], axis_, begin_, args.inputs[0].shape()[axis_] - end_)};
  }
  std::optional<Layout> view(const Layout& in) const override {
    Layout out = in;
    out.shape[axis_] = end_ - begin_;
    out.offset += begin_ * in.strides[axis_];
    return out;
  }

 private:
  int axis_;
  std::int64_t begin_, end_;
};

class BroadcastTo final : public ViewOp {
 public:
  explicit BroadcastTo(const Shape& shape) : shape_(shape) {}
  std::string_view name() const override { return "broadcast_to"; }
  void attributes(AttributeVisitor& visitor) const override { visitor.visit("shape", span_of(shape_)); }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 1);
    const Shape& shape = in[0].shape;
    bool fits = shape.rank() <= shape_.rank();
    for (int i = -shape.rank(); fits && i < 0; ++i) fits = shape[i] == shape_[i] || (shape[i] == 1 && shape_[i] >= 0);
    for (const std::int64_t extent : shape_) fits = fits && extent >= 0;
    if (!fits) refuse(name(), in, fmt::format("a shape that broadcasts to {}", shape_.to_string()));
    return {{in[0].dtype, shape_, in[0].device}};
  }
  Tensors vjp(const VjpArgs& args) const override { return {sum_to(args.gradients[0], args.inputs[0].shape())}; }
  std::optional<Layout> view(const Layout& in) const override {
    Layout out{shape_, shape_, in.offset};
    for (int i = -shape_.rank(); i < 0; ++i)
      out.strides[i] = -i > in.shape.rank() || in.shape[i] != shape_[i] ? 0 : in.strides[i];
    return out;
  }

 private:
  Shape shape_;
};

class Pad final : public Op {
 public:
  Pad(int axis, std::int64_t before, std::int64_t after) : axis_(axis), before_(before), after_(after) {}
  std::string_view name() const override { return "pad"; }
  Traits traits() const override { return {.strided = true, .gradient_reads_inputs = 0, .gradient_reads_outputs = 0}; }
  void attributes(AttributeVisitor& visitor) const override {
    visitor.visit("axis", std::int64_t{axis_});
    visitor.visit("before", before_);
    visitor.visit("after", after_);
  }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 1);
    Shape shape = in[0].shape;
    const int axis = normal_axis(name(), axis_, shape);
    if (before_ < 0 || after_ < 0)
      fail(ErrorCode::kInvalidArgument, "pad: {} before and {} after; expected none below 0", before_, after_);
    shape[axis] += before_ + after_;
    return {{in[0].dtype, shape, in[0].device}};
  }
  Tensors vjp(const VjpArgs& args) const override {
    return {slice(args.gradients[0], axis_, before_, before_ + args.inputs[0].shape()[axis_])};
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    const Tensor& out = args.outputs[0];
    std::int64_t outer = 1, inner = static_cast<std::int64_t>(size_of(out.dtype()));
    for (int i = 0; i < axis_; ++i) outer *= out.shape()[i];
    for (int i = axis_ + 1; i < out.shape().rank(); ++i) inner *= out.shape()[i];
    Layout middle = out.layout();
    middle.shape[axis_] -= before_ + after_;
    middle.offset += before_ * middle.strides[axis_];
    return prepared([outer, row = out.shape()[axis_] * inner, before = before_ * inner, after = after_ * inner,
                     bytes = static_cast<char*>(out.raw()), copy = ElementCopy(args.inputs[0], out.view(middle))] {
      for (std::int64_t i = 0; i < outer; ++i) {
        std::memset(bytes + i * row, 0, static_cast<std::size_t>(before));
        std::memset(bytes + (i + 1) * row - after, 0, static_cast<std::size_t>(after));
      }
      copy.run();
    });
  }

 private:
  int axis_;
  std::int64_t before_, after_;
};

const RegisterOp kRegistered[] = {RegisterOp("reshape"), RegisterOp("permute"), RegisterOp("slice"),
                                  RegisterOp("broadcast_to"), RegisterOp("pad")};

}  // namespace

Tensor reshape(const Tensor& x, const Shape& shape) { return apply_one(std::make_shared<Reshape>(shape), {x}); }

Tensor permute(const Tensor& x, std::span<const std::int64_t> axes) {
  Shape order;
  for (const std::int64_t axis : axes) order.append(normal_axis("permute", axis, x.shape()));
  return apply_one(std::make_shared<Permute>(order), {x});
}

Tensor transpose(const Tensor& x, int a, int b) {
  Shape axes = x.shape();
  for (int i = 0; i < axes.rank(); ++i) axes[i] = i;
  std::swap(axes[normal_axis("transpose", a, x.shape())], axes[normal_axis("transpose", b, x.shape())]);
  return permute(x, span_of(axes));
}

Tensor slice(const Tensor& x, int axis, std::int64_t begin, std::int64_t end) {
  return apply_one(std::make_shared<Slice>(normal_axis("slice", axis, x.shape()), begin, end), {x});
}

Tensor broadcast_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  return apply_one(std::make_shared<BroadcastTo>(shape), {x});
}

Tensor pad(const Tensor& x, int axis, std::int64_t before, std::int64_t after) {
  return apply_one(std::make_shared<Pad>(normal_axis("pad", axis, x.shape()), before, after), {x});
}

}  // namespace convoy
