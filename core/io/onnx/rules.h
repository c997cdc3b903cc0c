// How operators are said in ONNX: one rule an operator, one family a file. An operator without a rule is not exported.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/io/onnx/builder.h"

namespace convoy {

// A node of the graph, as a rule reads it.
class OnnxSource {
 public:
  OnnxSource(const SizedGraph& graph, NodeId node) : graph_(graph), node_(node) {}

  std::size_t inputs() const { return node().inputs.size(); }
  ValueId input(std::size_t i) const { return node().inputs[i]; }
  ValueId output(std::size_t i = 0) const { return node().outputs[i]; }
  DType dtype(ValueId value) const { return graph_.graph().value(value).spec.dtype; }
  int rank(ValueId value) const { return graph_.graph().value(value).spec.shape.rank(); }
  const OnnxExtents& shape(ValueId value) const { return graph_.shape(value); }
  // The extent at export time, of all that it may be the largest.
  std::int64_t largest(ValueId value, int axis) const { return graph_.graph().value(value).spec.shape[axis]; }

  // Attributes; numbers that must not depend on open sizes are refused where they do.
  std::int64_t integer(const std::string& name) const;
  bool flag(const std::string& name) const { return integer(name) != 0; }
  double real(const std::string& name) const;
  const std::string& text(const std::string& name) const;
  std::vector<std::int64_t> integers(const std::string& name) const;
  OnnxExtent extent(const std::string& name) const;
  OnnxExtents extents(const std::string& name) const;

  // The elements of the output of an operator without inputs.
  Tensor value() const;

  // Throws Error(kUsage): "export: pad(axis=1, before=0, after=3) of f32[2, 3]: expected …".
  [[noreturn]] void refuse(std::string_view expected) const;

 private:
  const Node& node() const { return graph_.graph().node(node_); }
  const SizedAttribute& attribute(const std::string& name) const;
  std::int64_t constant(const OnnxExtent& extent, const std::string& name) const;

  const SizedGraph& graph_;
  NodeId node_;
};

struct OnnxRule {
  std::string_view op;
  void (*write)(OnnxBuilder& out, const OnnxSource& source);
};

std::span<const OnnxRule> onnx_elementwise_rules();
std::span<const OnnxRule> onnx_view_rules();
std::span<const OnnxRule> onnx_reduce_rules();
std::span<const OnnxRule> onnx_matrix_rules();
std::span<const OnnxRule> onnx_norm_rules();
std::span<const OnnxRule> onnx_image_rules();
std::span<const OnnxRule> onnx_attention_rules();
std::span<const OnnxRule> onnx_index_rules();

// Pieces that rules of several families need. tanh's form of GELU.
std::string onnx_gelu(OnnxBuilder& out, const std::string& x, DType dtype);
// y = body(x) element by element, in whichever form x is there.
template <typename Body>
void onnx_map(OnnxBuilder& out, ValueId x, ValueId y, const Body& body) {
  if (out.is_channels_first(x)) {
    out.set_channels_first(y, body(out.channels_first(x)));
  } else {
    out.set(y, body(out.plain(x)));
  }
}

}  // namespace convoy
