// What safetensors calls our element types. For core/io/safetensors*.cpp only.
#pragma once

#include <algorithm>
#include <cctype>
#include <optional>
#include <string>
#include <string_view>

#include "core/tensor/dtype.h"

namespace convoy {

inline std::string safetensors_name(DType dtype) {
  std::string name(name_of(dtype));  // "f32" is "F32" there
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::toupper(c); });
  return name;
}

inline std::optional<DType> safetensors_dtype(std::string_view name) {
  for (const DType dtype : kDTypes) {
    if (safetensors_name(dtype) == name) return dtype;
  }
  return std::nullopt;
}

}  // namespace convoy
