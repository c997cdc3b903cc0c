#include "core/io/onnx/builder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "core/base/error.h"

namespace convoy {
namespace {

std::string_view name_of(OnnxType type) {
  switch (type) {
    case OnnxType::kF32:
      return "f32";
    case OnnxType::kI64:
      return "i64";
    case OnnxType::kBool:
      return "bool";
    case OnnxType::kF64:
      return "f64";
  }
  return "?";
}

}  // namespace

OnnxType onnx_type(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return OnnxType::kF32;
    case DType::kF64:
      return OnnxType::kF64;
    case DType::kI32:
    case DType::kI64:
      return OnnxType::kI64;
    case DType::kBF16:
      break;
  }
  fail(ErrorCode::kUsage, "export: a value is bf16; expected f32, f64 or integers");
}

std::string to_string(const OnnxPort& port) {
  std::string shape;
  for (const OnnxDimension& dimension : port.shape) {
    shape += shape.empty() ? "" : ", ";
    std::visit([&shape](const auto& extent) { shape += fmt::format("{}", extent); }, dimension);
  }
  return fmt::format("{} {}[{}]", port.name, name_of(port.type), shape);
}

OnnxBuilder::OnnxBuilder(const SizedGraph& graph, std::span<const Tensor> states)
    : graph_(graph), states_(states), forms_(graph.graph().values().size()) {
  add_inputs();
}

void OnnxBuilder::add_inputs() {
  const Graph& graph = graph_.graph();
  for (std::size_t i = 0; i < graph.inputs().size(); ++i) {
    const ValueId id = graph.inputs()[i];
    const Value& value = graph.value(id);
    OnnxPort port{.name = value.name, .type = onnx_type(value.spec.dtype), .shape = {}};
    for (const std::int64_t extent : value.spec.shape) port.shape.emplace_back(extent);
    for (const OpenSize& size : graph_.sizes()) {
      if (size.input == i) port.shape[static_cast<std::size_t>(size.axis)] = size.name;
    }
    ++used_[port.name];
    set(id, port.name);
    model_.inputs.push_back(std::move(port));
  }
  for (const Result& result : graph.results()) ++used_[result.name];
}

void OnnxBuilder::begin(NodeId node) { scope_ = fmt::format("{}_{}", graph_.graph().node(node).op->name(), node); }

std::vector<OnnxBuilder::Name> OnnxBuilder::emit(std::string op, std::vector<Name> inputs,
                                                 std::vector<OnnxAttribute> attributes, std::size_t outputs) {
  const std::string stem = scope_ + "/" + op;
  const int before = used_[stem]++;
  OnnxNode node{.op = std::move(op),
                .name = before == 0 ? stem : fmt::format("{}_{}", stem, before),
                .inputs = std::move(inputs),
                .outputs = {},
                .attributes = std::move(attributes)};
  for (std::size_t i = 0; i < outputs; ++i)
    node.outputs.push_back(i == 0 ? node.name : fmt::format("{}:{}", node.name, i));
  model_.nodes.push_back(std::move(node));
  return model_.nodes.back().outputs;
}

OnnxBuilder::Name OnnxBuilder::emit(std::string op, std::vector<Name> inputs, std::vector<OnnxAttribute> attributes) {
  return emit(std::move(op), std::move(inputs), std::move(attributes), 1).front();
}

OnnxBuilder::Name OnnxBuilder::plain(ValueId id) {
  Forms& known = forms(id);
  if (!known.plain.empty()) return known.plain;
  if (!known.channels_first.empty()) {
    known.plain = emit("Transpose", {known.channels_first}, {{"perm", std::vector<std::int64_t>{0, 2, 3, 1}}});
    return known.plain;
  }
  const Value& value = graph_.graph().value(id);
  if (value.origin != Value::Origin::kState)
    fail(ErrorCode::kUsage, "export: {}: its output {} is used, which its ONNX form does not give",
         describe(*graph_.graph().node(value.node).op), value.output);
  const auto states = graph_.graph().states();
  const auto index = static_cast<std::size_t>(std::find(states.begin(), states.end(), id) - states.begin());
  known.plain = table(value.name, states_[index]);
  return known.plain;
}

OnnxBuilder::Name OnnxBuilder::channels_first(ValueId id) {
  if (forms(id).channels_first.empty()) {
    Name transposed = emit("Transpose", {plain(id)}, {{"perm", std::vector<std::int64_t>{0, 3, 1, 2}}});
    forms(id).channels_first = std::move(transposed);
  }
  return forms(id).channels_first;
}

bool OnnxBuilder::is_channels_first(ValueId id) const {
  const Forms& known = forms_[static_cast<std::size_t>(id)];
  return known.plain.empty() && !known.channels_first.empty();
}

void OnnxBuilder::set(ValueId id, Name name) { forms(id).plain = std::move(name); }
void OnnxBuilder::set_channels_first(ValueId id, Name name) { forms(id).channels_first = std::move(name); }

OnnxBuilder::Name OnnxBuilder::scalar(double value, DType dtype) {
  return shared(fmt::format("{}/{}", name_of(onnx_type(dtype)), value), [&] {
    Device& device = graph_.graph().device();
    const float narrow = static_cast<float>(value);
    return table(scope_, dtype == DType::kF64 ? Tensor::of<double>(device, {}, std::span(&value, 1))
                                              : Tensor::of<float>(device, {}, std::span(&narrow, 1)));
  });
}

OnnxBuilder::Name OnnxBuilder::integers(std::span<const std::int64_t> values) {
  return shared(fmt::format("i64/{}", fmt::join(values, ",")), [&] {
    return table(scope_,
                 Tensor::of<std::int64_t>(graph_.graph().device(), {static_cast<std::int64_t>(values.size())}, values));
  });
}

OnnxBuilder::Name OnnxBuilder::table(const std::string& name, const Tensor& tensor) {
  const int before = used_[name]++;
  Name own = before == 0 ? name : fmt::format("{}:{}", name, before);
  model_.weights.push_back({own, tensor});
  return own;
}

OnnxBuilder::Name OnnxBuilder::extent(const OnnxExtent& extent) {
  if (extent.is_constant()) return integers({extent.factor});
  return shared(fmt::format("extent/{}/{}", extent.factor, extent.sizes), [&] {
    Name product = extent.factor == 1 ? "" : integers({extent.factor});
    for (std::size_t i = 0; i < graph_.sizes().size(); ++i) {
      if ((extent.sizes >> i & 1U) == 0) continue;
      const OpenSize& size = graph_.sizes()[i];
      const Name one = shared("size/" + size.name, [&] {
        return emit("Shape", {model_.inputs[size.input].name},
                    {{"start", std::int64_t{size.axis}}, {"end", std::int64_t{size.axis + 1}}});
      });
      product = product.empty() ? one : emit("Mul", {product, one});
    }
    return product;
  });
}

OnnxBuilder::Name OnnxBuilder::shape(const OnnxExtents& extents) {
  std::vector<std::int64_t> constants;
  std::string key = "shape";
  for (const OnnxExtent& one : extents) {
    if (one.is_constant()) constants.push_back(one.factor);
    key += fmt::format("/{}x{}", one.factor, one.sizes);
  }
  if (constants.size() == extents.size()) return integers(constants);
  return shared(key, [&] {
    std::vector<Name> parts;
    for (const OnnxExtent& one : extents) parts.push_back(extent(one));
    return emit("Concat", std::move(parts), {{"axis", std::int64_t{0}}});
  });
}

// To Reshape, 0 is the input's own extent at that axis, and one -1 is what is left.
OnnxBuilder::Name OnnxBuilder::reshape(const Name& x, const OnnxExtents& from, const OnnxExtents& to) {
  if (from == to) return x;
  std::vector<std::int64_t> target;
  bool free = true;
  for (std::size_t i = 0; i < to.size(); ++i) {
    if (to[i].is_constant()) {
      target.push_back(to[i].factor);
    } else if (i < from.size() && from[i] == to[i]) {
      target.push_back(0);
    } else if (std::exchange(free, false)) {
      target.push_back(-1);
    } else {
      return emit("Reshape", {x, shape(to)});
    }
  }
  return emit("Reshape", {x, integers(target)});
}

OnnxBuilder::Name OnnxBuilder::shared(const std::string& key, const std::function<Name()>& make) {
  if (const auto made = shared_.find(key); made != shared_.end()) return made->second;
  const std::string scope = std::exchange(scope_, key);
  Name name = make();
  scope_ = scope;
  shared_.emplace(key, name);
  return name;
}

OnnxModel OnnxBuilder::finish() {
  const Graph& graph = graph_.graph();
  for (const Result& result : graph.results()) {
    Name value = plain(result.value);
    const auto gives = [&value](const auto& named) { return named.name == value; };
    const bool is_given = std::any_of(model_.inputs.begin(), model_.inputs.end(), gives) ||
                          std::any_of(model_.weights.begin(), model_.weights.end(), gives) ||
                          std::any_of(model_.outputs.begin(), model_.outputs.end(), gives);
    scope_ = "result";
    if (is_given) value = emit("Identity", {value});
    rename(value, result.name);
    OnnxPort port{.name = result.name, .type = onnx_type(graph.value(result.value).spec.dtype), .shape = {}};
    for (const OnnxExtent& extent : graph_.shape(result.value)) {
      const auto& sizes = graph_.sizes();
      OnnxDimension dimension = extent.factor;
      if (!extent.is_constant()) {
        std::string product = extent.factor == 1 ? "" : fmt::format("{}", extent.factor);
        for (std::size_t i = 0; i < sizes.size(); ++i) {
          if ((extent.sizes >> i & 1U) != 0) product += (product.empty() ? "" : "*") + sizes[i].name;
        }
        dimension = product;
      }
      port.shape.push_back(std::move(dimension));
    }
    model_.outputs.push_back(std::move(port));
  }
  return std::move(model_);
}

void OnnxBuilder::rename(const Name& from, const Name& to) {
  for (OnnxNode& node : model_.nodes) {
    std::replace(node.inputs.begin(), node.inputs.end(), from, to);
    std::replace(node.outputs.begin(), node.outputs.end(), from, to);
  }
  for (Forms& known : forms_) {
    if (known.plain == from) known.plain = to;
    if (known.channels_first == from) known.channels_first = to;
  }
}

}  // namespace convoy
