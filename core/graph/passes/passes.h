// The passes, one a file. All keep inputs, states, results and assignments as they are, in their order.
#pragma once

#include "core/graph/graph.h"

namespace convoy {

// Elementwise operators of equal elements become one element, repeated by a view.
Graph fold_constants(const Graph& graph);
// Values that equal one of their operands are that operand: x·1, x - 0, casts there and back, ….
Graph remove_identities(const Graph& graph);
// Views that see the same elements of the same value in the same order are one; a view that sees all of it as it is,
// is it.
Graph remove_views(const Graph& graph);
// What was computed before in the same phase is not computed again.
Graph merge_common(const Graph& graph);
// What reaches neither a result nor a state is not computed.
Graph remove_dead(const Graph& graph);
// What a block's forward pass keeps for the backward pass is computed again there.
Graph recompute_blocks(const Graph& graph);
// What an operator can make again by a pass over memory (Op::again) is not kept for the backward pass, where that reads
// what it is made of anyway.
Graph rematerialize(const Graph& graph);
// A strided value that several operators want without gaps is copied once, not once for each.
Graph share_copies(const Graph& graph);
// Groups of elementwise operators, and reductions behind them, go over memory once.
Graph fuse_elementwise(const Graph& graph);

}  // namespace convoy
