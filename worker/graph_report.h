// A captured function as TensorBoard shows it.
#pragma once

#include <string>

#include "cluster/messages.h"
#include "core/graph/graph.h"

namespace convoy::worker {

// Adds the graph's nodes to the report, under `function`: phases, and the model's blocks in them, fold; states are
// named as the parameters that they are.
void add_graph(cluster::GraphReport& report, const std::string& function, const Graph& graph);

}  // namespace convoy::worker
