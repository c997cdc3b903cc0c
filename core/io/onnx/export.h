// Turns a captured forward graph into an ONNX model.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/io/onnx/model.h"
#include "core/io/onnx/sized_graph.h"

namespace convoy {

// states: the tensors of the graph's states; those that are used become weights, under their names. Keeps handles to
// them. Throws Error(kUsage) that names the operator and its attributes where ONNX has no form of it.
OnnxModel export_onnx(const SizedGraph& graph, std::span<const Tensor> states);

// The operators that can be exported, sorted.
std::vector<std::string> onnx_operators();

}  // namespace convoy
