// Sizes of a graph that are chosen when the exported model runs, and extents that depend on them.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace convoy {

// An axis of one of the graph's inputs whose extent is left open.
struct OpenSize {
  std::string name;   // "batch"
  std::size_t input;  // in the order of Graph::inputs()
  int axis;
  // Extents at which the graph is captured to see what follows the size; all different, the first is the largest that
  // tables made at export time must serve.
  std::array<std::int64_t, 3> samples;
};

// factor · Π of the open sizes i whose bit is set.
struct OnnxExtent {
  std::int64_t factor = 0;
  std::uint32_t sizes = 0;

  bool is_constant() const { return sizes == 0; }
  friend bool operator==(const OnnxExtent&, const OnnxExtent&) = default;
};
using OnnxExtents = std::vector<OnnxExtent>;

}  // namespace convoy
