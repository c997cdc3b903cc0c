// Values whose elements are all the same, whatever the inputs: what constants come to in a captured graph.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <vector>

#include "core/graph/graph.h"

namespace convoy {

// One element.
struct Uniform {
  DType dtype = DType::kF32;
  std::array<std::byte, 8> element{};  // size_of(dtype) of them count

  double to_double() const;  // floating dtypes
};

// By value; those of values that are not uniform, or not known to be, are empty. Elementwise operators are evaluated
// by their own kernels.
std::vector<std::optional<Uniform>> uniform_values(const Graph& graph);

// (…) → a scalar of the dtype: how a uniform value stands in a graph.
OpPtr constant_op(const Uniform& value);
// The scalar's view of a shape.
OpPtr repeat_op(const Shape& shape);

}  // namespace convoy
