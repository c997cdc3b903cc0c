// What a plan will do, before any memory is there: the kernels and copies in their order, where each operand lies, and
// how long each piece of memory is needed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/graph/graph.h"
#include "core/graph/memory_plan.h"

namespace convoy {

struct PlanOptions {
  bool in_place = true;  // elementwise operators may write over an operand that dies with them
  bool poison = false;   // overwrite memory as soon as it is dead, for tests: a value read too late is NaN
  // Where the values lie if it is large enough, otherwise memory of the plan's own. Plans that share it run one at a
  // time: nothing in it lives on between runs.
  std::shared_ptr<Storage> arena{};
  // A plan whose block of memory is larger is refused, with a table of its largest values.
  std::size_t most_bytes = ~std::size_t{0};
  // Where results are made instead of among the values, by their index: whoever takes one there need not copy it.
  // Undefined, missing or of another spec: among the values. Nothing else may write there during a run.
  Tensors results{};
};

// In a buffer, or in a state (or a place that was given for a result).
struct Place {
  std::int32_t buffer = -1;
  Tensor state{};
  Layout layout{};  // from the buffer's start, or as the state's own
};

struct Operand {
  Place place;
  Spec spec;
};

struct Step {
  OpPtr op;          // null: copies its input
  NodeId node = -1;  // of the graph that it runs; -1 for copies
  std::vector<Operand> inputs{}, outputs{};
  bool writes_state = false;
  std::vector<std::pair<std::size_t, Operand>> results{};  // that are there behind it, by their index
  std::int32_t scratch = -1;                               // the buffer that the kernel works in
};

struct Schedule {
  std::vector<Step> steps{};
  std::vector<Operand> inputs{};      // of the graph
  std::vector<Buffer> buffers{};      // alive during steps
  std::vector<std::string> labels{};  // of buffers: "linear: f32[8, 2]"
};

// states: for graph.states(), for good.
Schedule make_schedule(const Graph& graph, std::span<const Tensor> states, const PlanOptions& options);

// The operand's tensor if its buffer begins at `memory`.
Tensor tensor_at(const Operand& operand, std::byte* memory);

// Lines with size and label of the largest buffers that are alive when most bytes are, largest first.
std::string largest_values(std::span<const Buffer> buffers, std::span<const std::string> labels,
                           std::size_t lines = 10);

}  // namespace convoy
