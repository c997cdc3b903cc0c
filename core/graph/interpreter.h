// Runs a graph node by node, each through apply() as in dynamic mode: what a graph means. Plans are held against it.
#pragma once

#include <span>

#include "core/graph/graph.h"

namespace convoy {

// inputs and states: the tensors bound to graph.inputs() and graph.states(), in that order. States are written as the
// assignments say. Returns the results. Throws Error(kInvalidArgument) for tensors of other specs.
Tensors interpret(const Graph& graph, const StepKey& key, std::span<const Tensor> inputs,
                  std::span<const Tensor> states);

}  // namespace convoy
