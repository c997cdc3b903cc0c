// A model's forward pass as a graph: what an evaluation computes, from `input` to `logits`.
#pragma once

#include <cstdint>
#include <span>

#include "core/graph/graph.h"
#include "core/io/onnx/sized_graph.h"
#include "core/nn/model.h"

namespace convoy::worker {

// For `samples` inputs of `task`; its states are the model's parameters, in their order.
Graph capture_forward(const Model& model, const TaskSpec& task, Device& device, std::int64_t samples);

// The same with open sizes: "batch", and "sequence" where samples are tokens and the model's computation follows their
// number. Throws Error(kUsage) where it follows the batch in a way that cannot be told.
SizedGraph capture_sized_forward(const Model& model, const TaskSpec& task, Device& device);

}  // namespace convoy::worker
