// Graphs drawn at random, for tests that compare ways to run one.
#pragma once

#include <cstdint>

#include "core/device/cpu_device.h"
#include "core/graph/graph.h"
#include "core/graph/step_key.h"

namespace convoy {

struct RandomGraph {
  Graph graph;
  Tensors inputs;
  Tensors states;  // as they are before a run: copy them first
  StepKey key;
};

// The graph of a seed, captured from about `steps` moves (random_moves.h): elementwise operators, broadcast, strided
// and of several dtypes, views, reductions, products, layers, random numbers, what was done before once more,
// gradients, updates of state, in several phases and blocks. Fewer steps make a beginning of the same program.
RandomGraph random_graph(CpuDevice& device, std::uint64_t seed, int steps);

}  // namespace convoy
