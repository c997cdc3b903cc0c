#include "core/io/onnx/export.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/io/onnx/rules.h"

namespace convoy {
namespace {

template <typename Visit>
void for_each_rule(const Visit& visit) {
  for (const auto family : {onnx_elementwise_rules, onnx_view_rules, onnx_reduce_rules, onnx_matrix_rules,
                            onnx_norm_rules, onnx_image_rules, onnx_attention_rules, onnx_index_rules}) {
    for (const OnnxRule& rule : family()) visit(rule);
  }
}

const OnnxRule* find_rule(std::string_view op) {
  const OnnxRule* found = nullptr;
  for_each_rule([&](const OnnxRule& rule) {
    if (rule.op == op) found = &rule;
  });
  return found;
}

}  // namespace

std::int64_t OnnxSource::integer(const std::string& name) const { return constant(extent(name), name); }

double OnnxSource::real(const std::string& name) const { return std::get<double>(attribute(name)); }

const std::string& OnnxSource::text(const std::string& name) const { return std::get<std::string>(attribute(name)); }

std::vector<std::int64_t> OnnxSource::integers(const std::string& name) const {
  std::vector<std::int64_t> result;
  for (const OnnxExtent& one : extents(name)) result.push_back(constant(one, name));
  return result;
}

OnnxExtent OnnxSource::extent(const std::string& name) const { return std::get<OnnxExtent>(attribute(name)); }

OnnxExtents OnnxSource::extents(const std::string& name) const { return std::get<OnnxExtents>(attribute(name)); }

const SizedAttribute& OnnxSource::attribute(const std::string& name) const {
  const auto& all = graph_.attributes(node_);
  const auto found = all.find(name);
  if (found == all.end()) fail(ErrorCode::kInternal, "export: {} has no attribute {}", describe(*node().op), name);
  return found->second;
}

std::int64_t OnnxSource::constant(const OnnxExtent& extent, const std::string& name) const {
  if (!extent.is_constant()) refuse(fmt::format("a {} that does not depend on open sizes", name));
  return extent.factor;
}

Tensor OnnxSource::value() const {
  const Tensors outputs{Tensor::empty(graph_.graph().value(output()).spec)};
  Device& device = graph_.graph().device();
  PooledScratch scratch(device);
  node().op->prepare({{}, outputs, device, scratch})->run({});
  return outputs[0];
}

void OnnxSource::refuse(std::string_view expected) const {
  std::string inputs;
  for (const ValueId id : node().inputs)
    inputs += (inputs.empty() ? "" : ", ") + graph_.graph().value(id).spec.to_string();
  fail(ErrorCode::kUsage, "export: {} of {}: expected {}", describe(*node().op), inputs, expected);
}

OnnxModel export_onnx(const SizedGraph& graph, std::span<const Tensor> states) {
  OnnxBuilder builder(graph, states);
  for (std::size_t i = 0; i < graph.graph().nodes().size(); ++i) {
    const auto id = static_cast<NodeId>(i);
    const OnnxSource source(graph, id);
    const OnnxRule* const rule = find_rule(graph.graph().node(id).op->name());
    if (rule == nullptr) source.refuse("an operator that has an ONNX form (docs/export.md)");
    if (!graph.graph().node(id).outputs.empty() && source.dtype(source.output()) == DType::kBF16)
      source.refuse("f32 or f64; a model is exported with f32 activations");
    builder.begin(id);
    rule->write(builder, source);
  }
  return builder.finish();
}

std::vector<std::string> onnx_operators() {
  std::vector<std::string> names;
  for_each_rule([&](const OnnxRule& rule) { names.emplace_back(rule.op); });
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace convoy
