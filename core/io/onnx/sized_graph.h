// A graph whose shapes and attributes are known as functions of open sizes.
//
// A capture has fixed shapes. Captured at several sizes, the same computation gives the same nodes, and every extent
// that differs is compared with what each of the sizes would make of it.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "core/graph/graph.h"
#include "core/io/onnx/open_size.h"

namespace convoy {

using SizedAttribute = std::variant<OnnxExtent, double, std::string, OnnxExtents>;

class SizedGraph {
 public:
  // The graph at the given open sizes, as captured: passes make operators that ONNX has no form of.
  using CaptureAt = std::function<Graph(std::span<const std::int64_t> sizes)>;

  // Throws Error(kUsage) that names the operator where the graph depends on the sizes in another way than OnnxExtent
  // can say.
  SizedGraph(std::vector<OpenSize> sizes, const CaptureAt& capture);

  // As captured at every size's first sample.
  const Graph& graph() const { return graphs_.front(); }
  std::span<const OpenSize> sizes() const { return sizes_; }
  const OnnxExtents& shape(ValueId value) const { return shapes_[static_cast<std::size_t>(value)]; }
  // In the order of AttributeVisitor's visits they are sorted by name.
  const std::map<std::string, SizedAttribute>& attributes(NodeId node) const {
    return attributes_[static_cast<std::size_t>(node)];
  }

 private:
  void capture_all(const CaptureAt& capture);
  void check_structure() const;
  void solve_shapes();
  void solve_attributes();
  // The extent that takes these values, one a capture; nothing where there is none.
  std::optional<OnnxExtent> solve(std::span<const std::int64_t> observed) const;
  std::int64_t extent_at(const OnnxExtent& extent, std::size_t capture) const;
  std::string size_names() const;

  std::vector<OpenSize> sizes_;
  std::vector<std::vector<std::int64_t>> samples_;  // of every capture: its sizes
  std::vector<Graph> graphs_;
  std::vector<OnnxExtents> shapes_;                                // by value
  std::vector<std::map<std::string, SizedAttribute>> attributes_;  // by node
};

}  // namespace convoy
