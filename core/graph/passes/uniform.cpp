#include "core/graph/passes/uniform.h"

#include <fmt/format.h>

#include <cstring>
#include <memory>
#include <string>

#include "core/base/error.h"

namespace convoy {
namespace {

std::span<const std::int64_t> span_of(const Shape& shape) {
  return {shape.begin(), static_cast<std::size_t>(shape.rank())};
}

// Any float is a double exactly.
double as_double(DType dtype, const std::byte* element) {
  const auto as = [&]<typename T>(T value) {
    std::memcpy(&value, element, sizeof(T));
    return static_cast<double>(value);
  };
  switch (dtype) {
    case DType::kF32:
      return as(float{});
    case DType::kF64:
      return as(double{});
    case DType::kI32:
      return as(std::int32_t{});
    case DType::kI64:
      return as(static_cast<std::int64_t>(0));
    case DType::kBF16:
      return as(bfloat16{});
  }
  return 0;
}

class Constant final : public Op {
 public:
  explicit Constant(const Uniform& value) : value_(value) {}
  std::string_view name() const override { return "constant"; }
  Traits traits() const override { return {.constant = true, .differentiable = false}; }
  void attributes(AttributeVisitor& visitor) const override {
    std::uint64_t bits = 0;
    std::memcpy(&bits, value_.element.data(), size_of(value_.dtype));
    visitor.visit("value", value_.to_double());
    visitor.visit("bits", fmt::format("{:x}", bits));  // tells NaNs and zeros apart
    visitor.visit("dtype", name_of(value_.dtype));
  }
  Specs infer(std::span<const Spec> in) const override {
    if (!in.empty()) fail(ErrorCode::kInvalidArgument, "constant: got {} inputs; expected none", in.size());
    return {{value_.dtype, {}, nullptr}};
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return prepared([element = value_.element, y = args.outputs[0].raw(), bytes = size_of(value_.dtype)] {
      std::memcpy(y, element.data(), bytes);
    });
  }
  const Uniform& value() const { return value_; }

 private:
  Uniform value_;
};

class Repeat final : public Op {
 public:
  explicit Repeat(const Shape& shape) : shape_(shape) {}
  std::string_view name() const override { return "repeat"; }
  Traits traits() const override { return {.view = true, .differentiable = false}; }
  void attributes(AttributeVisitor& visitor) const override { visitor.visit("shape", span_of(shape_)); }
  Specs infer(std::span<const Spec> in) const override {
    if (in.size() != 1 || in[0].shape.rank() != 0)
      fail(ErrorCode::kInvalidArgument, "repeat: expected a scalar to repeat as {}", shape_.to_string());
    return {{in[0].dtype, shape_, in[0].device}};
  }
  std::optional<Layout> view(const Layout& in) const override {
    Layout out{shape_, shape_, in.offset};
    for (int i = 0; i < shape_.rank(); ++i) out.strides[i] = 0;
    return out;
  }

 private:
  Shape shape_;
};

// What the elementwise operator makes of uniform inputs.
Uniform evaluated(const Op& op, const Spec& output, std::span<const Uniform> inputs) {
  std::vector<TileOperand> operands;
  for (const Uniform& input : inputs)
    operands.push_back({.data = input.element.data(), .step = 1, .dtype = input.dtype});
  Uniform result{.dtype = output.dtype};
  const StepKey key;
  op.run_tile_cpu(
      {.inputs = operands, .output = result.element.data(), .dtype = output.dtype, .first = 0, .count = 1, .key = key});
  return result;
}

}  // namespace

double Uniform::to_double() const { return as_double(dtype, element.data()); }

std::vector<std::optional<Uniform>> uniform_values(const Graph& graph) {
  std::vector<std::optional<Uniform>> uniform(graph.values().size());
  const auto of = [&](ValueId value) -> std::optional<Uniform>& { return uniform[static_cast<std::size_t>(value)]; };
  for (const Node& node : graph.nodes()) {
    const Traits traits = node.op->traits();
    if (const auto* constant = dynamic_cast<const Constant*>(node.op.get())) {
      of(node.outputs[0]) = constant->value();
      continue;
    }
    if (traits.view) {
      of(node.outputs[0]) = of(node.inputs[0]);
      continue;
    }
    if (!traits.tiled || traits.random || traits.update) continue;
    std::vector<Uniform> inputs;
    for (const ValueId input : node.inputs) {
      if (!of(input) && !traits.constant) break;
      inputs.push_back(of(input).value_or(Uniform{.dtype = graph.value(input).spec.dtype}));
    }
    if (inputs.size() == node.inputs.size())
      of(node.outputs[0]) = evaluated(*node.op, graph.value(node.outputs[0]).spec, inputs);
  }
  return uniform;
}

OpPtr constant_op(const Uniform& value) { return std::make_shared<Constant>(value); }
OpPtr repeat_op(const Shape& shape) { return std::make_shared<Repeat>(shape); }

}  // namespace convoy
