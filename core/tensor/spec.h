// What is known of a tensor without its values: enough to infer, plan and compile.
#pragma once

#include <string>
#include <vector>

#include "core/device/device.h"
#include "core/tensor/dtype.h"
#include "core/tensor/shape.h"

namespace convoy {

struct Spec {
  DType dtype = DType::kF32;
  Shape shape;
  Device* device = nullptr;  // not owned

  std::int64_t elements() const { return shape.elements(); }
  std::size_t bytes() const { return static_cast<std::size_t>(elements()) * size_of(dtype); }
  std::string to_string() const;  // "f32[2, 3]"
  bool operator==(const Spec&) const = default;
};

using Specs = std::vector<Spec>;

}  // namespace convoy
