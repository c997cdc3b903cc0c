#include "core/ops/reduce.h"

#include <cmath>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/graph/apply.h"
#include "core/graph/registry.h"
#include "core/ops/elementwise.h"
#include "core/ops/elementwise_kernels.h"
#include "core/ops/kernel.h"
#include "core/ops/reduce_kernels.h"
#include "core/ops/reduce_tiles.h"
#include "core/ops/view.h"

namespace convoy {
namespace {

std::span<const std::int64_t> span_of(const Shape& shape) {
  return {shape.begin(), static_cast<std::size_t>(shape.rank())};
}

// `shape` with the given axes at 1 or left out.
Shape reduced(const Shape& shape, const Shape& axes, bool keep) {
  Shape result;
  for (int i = 0; i < shape.rank(); ++i) {
    const bool gone = std::find(axes.begin(), axes.end(), i) != axes.end();
    if (!gone) {
      result.append(shape[i]);
    } else if (keep) {
      result.append(1);
    }
  }
  return result;
}

// A contiguous tensor as [outer, extent, inner] around one axis (or a run of axes).
struct Split {
  std::int64_t outer = 1, extent = 1, inner = 1;
};

Split split_at(const Shape& shape, int begin, int end) {
  Split split;
  for (int i = 0; i < shape.rank(); ++i) (i < begin ? split.outer : i < end ? split.extent : split.inner) *= shape[i];
  return split;
}

constexpr std::int64_t kLongBlock = kRowSumStretch;  // elements of a row that one piece sums
constexpr std::int64_t kColumns = 256;               // columns that one piece sums

// Blocks that a row is summed in.
std::int64_t blocks_of(const Split& split) {
  return std::max<std::int64_t>(1, (split.extent + kLongBlock - 1) / kLongBlock);
}

// `sums`: room for those of all blocks, where a row has several.
template <typename T>
void sum_rows(const T* x, const Split& split, Compute<T>* y, double* sums, int threads) {
  const std::int64_t blocks = blocks_of(split);
  if (blocks == 1) {
    parallel_for(threads, split.outer, row_grain(split.extent), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        double sum = 0;
        row_sums_kernel(x + row * split.extent, 1, split.extent, &sum);
        y[row] = static_cast<Compute<T>>(sum);
      }
    });
    return;
  }
  parallel_for(threads, split.outer * blocks, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t first = i % blocks * kLongBlock;
      row_sums_kernel(x + i / blocks * split.extent + first, 1, std::min(kLongBlock, split.extent - first), sums + i);
    }
  });
  for (std::int64_t row = 0; row < split.outer; ++row) {
    double sum = 0;
    for (std::int64_t i = 0; i < blocks; ++i) sum += sums[row * blocks + i];
    y[row] = static_cast<Compute<T>>(sum);
  }
}

template <typename T>
void sum_columns(const T* x, const Split& split, Compute<T>* y, int threads) {
  const std::int64_t pieces = (split.inner + kColumns - 1) / kColumns;
  parallel_for(
      threads, split.outer * pieces, row_grain(split.extent * kColumns), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          const std::int64_t outer = i / pieces;
          const std::int64_t first = i % pieces * kColumns;
          column_sums_kernel(x + outer * split.extent * split.inner + first, split.extent,
                             std::min(kColumns, split.inner - first), split.inner, y + outer * split.inner + first);
        }
      });
}

class Sum final : public Op, public TileReducible {
 public:
  Sum(const Shape& axes, bool keep, DType dtype) : axes_(axes), keep_(keep), dtype_(dtype) {}
  std::string_view name() const override { return "sum"; }
  Traits traits() const override { return {.gradient_reads_inputs = 0, .gradient_reads_outputs = 0}; }
  void attributes(AttributeVisitor& visitor) const override {
    visitor.visit("axes", span_of(axes_));
    visitor.visit("keep", std::int64_t{keep_});
    visitor.visit("dtype", name_of(dtype_));
  }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 1);
    check_floating(name(), in);
    if (dtype_ != in[0].dtype && dtype_ != compute_dtype(in[0].dtype))
      refuse(name(), in, fmt::format("an input whose sum is {}", name_of(dtype_)));
    return {{dtype_, reduced(in[0].shape, axes_, keep_), in[0].device}};
  }
  std::unique_ptr<TileReduction> tile_reduction(const Spec& input) const override {
    const int begin = static_cast<int>(*std::min_element(axes_.begin(), axes_.end()));
    for (int i = begin; i < begin + axes_.rank(); ++i) {
      if (!is_summed(i)) return nullptr;  // several runs of axes
    }
    const Split split = split_at(input.shape, begin, begin + axes_.rank());
    return sum_by_tiles(input.dtype, dtype_, split.outer, split.extent, split.inner);
  }
  Tensors vjp(const VjpArgs& args) const override {
    const Shape& shape = args.inputs[0].shape();
    const Tensor& dy = args.gradients[0];
    const Tensor rounded = dtype_ == args.inputs[0].dtype() ? dy : cast(dy, args.inputs[0].dtype());
    return {broadcast_to(reshape(rounded, reduced(shape, axes_, true)), shape)};
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return with_floating(args.inputs[0].dtype(), [&]<typename T>(T) { return prepare_runs<T>(args); });
  }

 private:
  // One run of neighbouring axes.
  template <typename T>
  struct Run {
    Split split;
    const T* first;          // the input, for the first run; null: `from`
    const Compute<T>* from;  // what the run before left
    Compute<T>* to;
    double* sums;
  };

  bool is_summed(int axis) const { return std::find(axes_.begin(), axes_.end(), axis) != axes_.end(); }

  // Neighbouring axes are summed together, the last such run first. What goes from run to run is not rounded to bf16.
  template <typename T>
  PreparedPtr prepare_runs(const PrepareArgs& args) const {
    using C = Compute<T>;
    std::vector<Run<T>> runs;
    Shape shape = args.inputs[0].shape();
    for (int end = shape.rank(); end > 0; --end) {
      if (!is_summed(end - 1)) continue;
      int begin = end - 1;
      while (begin > 0 && is_summed(begin - 1)) --begin;
      const Split split = split_at(shape, begin, end);
      for (int i = begin; i < end; ++i) shape[i] = 1;
      const bool last = *std::min_element(axes_.begin(), axes_.end()) == begin;
      const bool finished = last && dtype_ == compute_dtype(dtype_);
      const bool in_blocks = split.inner == 1 && blocks_of(split) > 1;
      runs.push_back({.split = split,
                      .first = runs.empty() ? args.inputs[0].data<T>() : nullptr,
                      .from = runs.empty() ? nullptr : runs.back().to,
                      .to = finished ? args.outputs[0].data<C>() : args.scratch.take<C>(shape.elements()),
                      .sums = in_blocks ? args.scratch.take<double>(split.outer * blocks_of(split)) : nullptr});
      end = begin + 1;
    }
    bfloat16* const rounded = dtype_ == DType::kBF16 ? args.outputs[0].data<bfloat16>() : nullptr;
    return prepared([runs = std::move(runs), rounded, n = args.outputs[0].elements(), threads = threads_of(args)] {
      for (const Run<T>& run : runs) {
        if (run.first != nullptr) {
          sum_run(run.first, run, threads);
        } else {
          sum_run(run.from, run, threads);
        }
      }
      if constexpr (std::is_same_v<C, float>) {
        if (rounded != nullptr) convert_kernel(runs.back().to, rounded, n);
      }
    });
  }

  template <typename From, typename T>
  static void sum_run(const From* x, const Run<T>& run, int threads) {
    if (run.split.inner == 1) {
      sum_rows(x, run.split, run.to, run.sums, threads);
    } else {
      sum_columns(x, run.split, run.to, threads);
    }
  }

  Shape axes_;
  bool keep_;
  DType dtype_;
};

// Calls visit(first, outer·inner place) for the first element of every line along the axis.
template <typename Visit>
void for_each_line(const Split& split, const Visit& visit) {
  for (std::int64_t outer = 0; outer < split.outer; ++outer) {
    for (std::int64_t inner = 0; inner < split.inner; ++inner)
      visit(outer * split.extent * split.inner + inner, outer * split.inner + inner);
  }
}

class Max final : public Op {
 public:
  Max(int axis, bool keep) : axis_(axis), keep_(keep) {}
  std::string_view name() const override { return "max"; }
  void attributes(AttributeVisitor& visitor) const override {
    visitor.visit("axis", std::int64_t{axis_});
    visitor.visit("keep", std::int64_t{keep_});
  }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 1);
    check_floating(name(), in);
    if (in[0].shape[axis_] == 0) refuse(name(), in, fmt::format("at least one element along axis {}", axis_));
    return {{in[0].dtype, reduced(in[0].shape, {axis_}, keep_), in[0].device}};
  }
  Tensors vjp(const VjpArgs& args) const override {
    const Shape kept = reduced(args.inputs[0].shape(), {axis_}, true);
    return {max_backward(args.inputs[0], reshape(args.outputs[0], kept), reshape(args.gradients[0], kept), axis_)};
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return with_floating(args.outputs[0].dtype(), [&]<typename T>(T) {
      return prepared([split = split_at(args.inputs[0].shape(), axis_, axis_ + 1), x = args.inputs[0].data<T>(),
                       y = args.outputs[0].data<T>()] {
        for_each_line(split, [&](std::int64_t first, std::int64_t place) {
          auto best = static_cast<Compute<T>>(x[first]);
          for (std::int64_t i = 1; i < split.extent; ++i) {
            const auto value = static_cast<Compute<T>>(x[first + i * split.inner]);
            if (value > best || std::isnan(value)) best = value;
          }
          y[place] = static_cast<T>(best);
        });
      });
    });
  }

 private:
  int axis_;
  bool keep_;
};

// (x, y, dy) → dx, with y and dy as max leaves them under `keep`.
class MaxBackward final : public Op {
 public:
  explicit MaxBackward(int axis) : axis_(axis) {}
  std::string_view name() const override { return "max_backward"; }
  Traits traits() const override { return {.differentiable = false}; }
  void attributes(AttributeVisitor& visitor) const override { visitor.visit("axis", std::int64_t{axis_}); }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 3);
    check_floating(name(), in);
    normal_axis(name(), axis_, in[0].shape);
    const Shape kept = reduced(in[0].shape, {axis_}, true);
    if (in[1].shape != kept || in[2].shape != kept)
      refuse(name(), in, fmt::format("x, y and dy with an extent of 1 at axis {} of y and dy", axis_));
    return {in[0]};
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return with_floating(args.outputs[0].dtype(), [&]<typename T>(T) {
      return prepared([split = split_at(args.inputs[0].shape(), axis_, axis_ + 1), x = args.inputs[0].data<T>(),
                       y = args.inputs[1].data<T>(), dy = args.inputs[2].data<T>(), dx = args.outputs[0].data<T>()] {
        for_each_line(split, [&](std::int64_t first, std::int64_t place) {
          const auto best = static_cast<Compute<T>>(y[place]);
          bool found = false;
          for (std::int64_t i = 0; i < split.extent; ++i) {
            const auto value = static_cast<Compute<T>>(x[first + i * split.inner]);
            const bool here = !found && (value == best || std::isnan(value));
            dx[first + i * split.inner] = here ? dy[place] : static_cast<T>(0);
            found = found || here;
          }
        });
      });
    });
  }

 private:
  int axis_;
};

const RegisterOp kRegistered[] = {RegisterOp("sum"), RegisterOp("max"), RegisterOp("max_backward")};

}  // namespace

Tensor sum(const Tensor& x, std::span<const std::int64_t> axes, bool keep, std::optional<DType> dtype) {
  if (axes.empty()) return dtype.value_or(x.dtype()) == x.dtype() ? x : cast(x, *dtype);
  Shape normal;
  for (const std::int64_t axis : axes) {
    const std::int64_t from_front = normal_axis("sum", axis, x.shape());
    if (std::find(normal.begin(), normal.end(), from_front) != normal.end())
      fail(ErrorCode::kInvalidArgument, "sum: axis {} given twice for shape {}; expected each once", axis,
           x.shape().to_string());
    normal.append(from_front);
  }
  return apply_one(std::make_shared<Sum>(normal, keep, dtype.value_or(x.dtype())), {x});
}

Tensor sum(const Tensor& x) {
  Shape axes;
  for (int i = 0; i < x.shape().rank(); ++i) axes.append(i);
  return sum(x, span_of(axes));
}

Tensor mean(const Tensor& x, std::span<const std::int64_t> axes, bool keep) {
  double count = 1;
  for (const std::int64_t axis : axes) count *= static_cast<double>(x.shape()[normal_axis("mean", axis, x.shape())]);
  // Rounded once: the sum of bf16 is not.
  return cast(scale(sum(x, axes, keep, compute_dtype(x.dtype())), 1.0 / count), x.dtype());
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  const int extra = x.shape().rank() - shape.rank();
  Shape axes;
  bool fits = extra >= 0;
  for (int i = 0; fits && i < x.shape().rank(); ++i) {
    const std::int64_t target = i < extra ? 1 : shape[i - extra];
    if (i < extra || target != x.shape()[i]) axes.append(i);
    fits = target == x.shape()[i] || target == 1;
    if (i < extra) fits = true;
  }
  if (!fits)
    fail(ErrorCode::kInvalidArgument, "sum_to: shape {} to {}; expected one that broadcasts to it",
         x.shape().to_string(), shape.to_string());
  return reshape(sum(x, span_of(axes), true), shape);
}

Tensor max(const Tensor& x, int axis, bool keep) {
  return apply_one(std::make_shared<Max>(normal_axis("max", axis, x.shape()), keep), {x});
}

Tensor max_backward(const Tensor& x, const Tensor& y, const Tensor& dy, int axis) {
  return apply_one(std::make_shared<MaxBackward>(normal_axis("max_backward", axis, x.shape())), {x, y, dy});
}

}  // namespace convoy
