#include "core/ops/index.h"

#include <cstring>

#include "core/graph/apply.h"
#include "core/graph/registry.h"
#include "core/ops/elementwise.h"
#include "core/ops/elementwise_kernels.h"
#include "core/ops/kernel.h"

namespace convoy {
namespace {

void check_ids(std::string_view op, std::span<const std::int32_t> ids, std::int64_t rows) {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= rows)
      fail(ErrorCode::kInvalidArgument, "{}: id {} at position {}; expected one of {} rows", op, ids[i], i, rows);
  }
}

class EmbeddingBackward final : public Op {
 public:
  explicit EmbeddingBackward(std::int64_t rows) : rows_(rows) {}
  std::string_view name() const override { return "embedding_backward"; }
  Traits traits() const override { return {.differentiable = false}; }
  void attributes(AttributeVisitor& visitor) const override { visitor.visit("rows", rows_); }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 2);
    if (in[0].dtype != DType::kI32 || !is_floating(in[1].dtype) || in[1].shape.rank() < 1 ||
        in[0].shape != without_last(in[1].shape))
      refuse(name(), in, "ids i32 [...], dy f32, f64 or bf16 [..., C]");
    return {{compute_dtype(in[1].dtype), {rows_, in[1].shape[-1]}, in[1].device}};
  }
  // Threads share out columns, so that each element of the table is summed by one, in token order.
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return with_floating(args.inputs[1].dtype(), [&]<typename T>(T) {
      return prepared([rows = rows_, width = args.outputs[0].shape()[1],
                       ids = elements_of<const std::int32_t>(args.inputs[0]), dy = args.inputs[1].data<T>(),
                       table = args.outputs[0].data<Compute<T>>(), threads = threads_of(args)] {
        check_ids("embedding_backward", ids, rows);
        constexpr std::int64_t kColumns = 16;  // a cache line of f32: no two threads write to one
        const auto tokens = static_cast<std::int64_t>(ids.size());
        const std::int64_t units = (width + kColumns - 1) / kColumns;
        parallel_for(threads, units, row_grain((tokens + rows) * kColumns), [&](std::int64_t begin, std::int64_t end) {
          const std::int64_t first = begin * kColumns;
          const std::int64_t count = std::min(width, end * kColumns) - first;
          for (std::int64_t row = 0; row < rows; ++row) std::fill_n(table + row * width + first, count, Compute<T>{0});
          for (std::int64_t i = 0; i < tokens; ++i)
            accumulate_kernel(dy + i * width + first, table + ids[static_cast<std::size_t>(i)] * width + first, count);
        });
      });
    });
  }

 private:
  std::int64_t rows_;
};

class Embedding final : public Op {
 public:
  explicit Embedding(DType dtype) : dtype_(dtype) {}
  std::string_view name() const override { return "embedding"; }
  Traits traits() const override { return {.gradient_reads_inputs = 0b10, .gradient_reads_outputs = 0}; }
  void attributes(AttributeVisitor& visitor) const override { visitor.visit("dtype", name_of(dtype_)); }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 2);
    if (!is_floating(in[0].dtype) || in[0].shape.rank() != 2 || in[1].dtype != DType::kI32)
      refuse(name(), in, "table f32, f64 or bf16 [V, C], ids i32 [...]");
    if (dtype_ != in[0].dtype && (dtype_ != DType::kBF16 || in[0].dtype != DType::kF32))
      refuse(name(), in, fmt::format("a table whose rows become {}: of that dtype, or f32 for bf16", name_of(dtype_)));
    Shape shape = in[1].shape;
    shape.append(in[0].shape[1]);
    return {{dtype_, shape, in[0].device}};
  }
  Tensors vjp(const VjpArgs& args) const override {
    const Tensor sums = embedding_backward(args.inputs[1], args.gradients[0], args.inputs[0].shape()[0]);
    return {sums.dtype() == args.inputs[0].dtype() ? sums : cast(sums, args.inputs[0].dtype()), Tensor()};
  }
  // Of the table only the rows that are looked up are read.
  Cost cost(std::span<const Spec> in, std::span<const Spec> out) const override {
    return {.flops = 0.0, .bytes = bytes_of(in.subspan(1), out) + bytes_of({}, out)};
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    const Tensor& table = args.inputs[0];
    const std::int64_t width = table.shape()[1];
    if (dtype_ != table.dtype())
      return for_each_row(
          args, [from = table.data<float>(), to = args.outputs[0].data<bfloat16>(), width](
                    std::int64_t i, std::int64_t id) { convert_kernel(from + id * width, to + i * width, width); });
    const auto bytes = width * static_cast<std::int64_t>(size_of(dtype_));
    return for_each_row(args, [from = static_cast<const char*>(table.raw()),
                               to = static_cast<char*>(args.outputs[0].raw()), bytes](std::int64_t i, std::int64_t id) {
      std::memcpy(to + i * bytes, from + id * bytes, static_cast<std::size_t>(bytes));
    });
  }

 private:
  // Calls copy(row of the output, row of the table) for each id.
  template <typename Copy>
  static PreparedPtr for_each_row(const PrepareArgs& args, const Copy& copy) {
    return prepared([copy, ids = elements_of<const std::int32_t>(args.inputs[1]), rows = args.inputs[0].shape()[0],
                     grain = row_grain(args.inputs[0].shape()[1]), threads = threads_of(args)] {
      check_ids("embedding", ids, rows);
      parallel_for(threads, static_cast<std::int64_t>(ids.size()), grain, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) copy(i, ids[static_cast<std::size_t>(i)]);
      });
    });
  }

  DType dtype_;
};

const RegisterOp kRegistered[] = {RegisterOp("embedding"), RegisterOp("embedding_backward")};

}  // namespace

Tensor embedding(const Tensor& table, const Tensor& ids, std::optional<DType> dtype) {
  return apply_one(std::make_shared<Embedding>(dtype.value_or(table.dtype())), {table, ids});
}

Tensor embedding_backward(const Tensor& ids, const Tensor& dy, std::int64_t rows) {
  return apply_one(std::make_shared<EmbeddingBackward>(rows), {ids, dy});
}

}  // namespace convoy
