// An ONNX model as plain values (https://github.com/onnx/onnx/blob/main/docs/IR.md); core/io/onnx/file.h writes it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/tensor/tensor.h"

namespace convoy {

// The version of the operators that exported models use: the newest that ONNX 1.12 (2022) knows.
inline constexpr std::int64_t kOnnxOpset = 17;

// ONNX's numbers for element types. Integers are i64 throughout: that is what ONNX's own operators take and give.
enum class OnnxType : std::int32_t { kF32 = 1, kI64 = 7, kBool = 9, kF64 = 11 };

using OnnxAttributeValue = std::variant<std::int64_t, double, std::string, std::vector<std::int64_t>>;
struct OnnxAttribute {
  std::string name;
  OnnxAttributeValue value;
};

struct OnnxNode {
  std::string op;
  std::string name;
  std::vector<std::string> inputs;  // "" for an optional one that is left out
  std::vector<std::string> outputs;
  std::vector<OnnxAttribute> attributes;
};

// A constant: a weight, or a table that the exporter made. Its elements are the tensor's, f32, f64 or i64.
struct OnnxWeight {
  std::string name;
  Tensor tensor;
};

using OnnxDimension = std::variant<std::int64_t, std::string>;  // "batch"
struct OnnxPort {
  std::string name;
  OnnxType type = OnnxType::kF32;
  std::vector<OnnxDimension> shape;
};

struct OnnxModel {
  std::string name;
  std::vector<OnnxNode> nodes;
  std::vector<OnnxWeight> weights;
  std::vector<OnnxPort> inputs, outputs;
  std::map<std::string, std::string> metadata;
};

// "input f32[batch, 28, 28, 1]".
std::string to_string(const OnnxPort& port);

}  // namespace convoy
