// A piece of a step, as C++ code that applies operators: run line by line, or captured and replayed (plan_cache.h).
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/graph/capture.h"
#include "core/graph/step_key.h"
#include "core/tensor/tensor.h"

namespace convoy {

struct StepFunction {
  // Hands a result out as soon as it is final: under a number of the function's own choice, and a name for whoever
  // reads the graph.
  using Give = std::function<void(std::size_t result, std::string_view name, const Tensor& value)>;
  using Body = std::function<void(std::span<const Tensor> inputs, const Give& give)>;
  // Whoever runs it gets the same numbers, and each value for the length of the call.
  using OnResult = std::function<void(std::size_t result, const Tensor& value)>;

  std::string name;                       // "gradient"
  std::vector<std::string> inputs;        // what the body's inputs are called
  std::function<void(Capture&)> declare;  // the state that the body reads or updates
  Body body;
  bool updates = false;         // whether it may write state; what does not can be computed again
  std::string attributes = {};  // what its operators depend on besides the inputs' specs
  // Of the results that are summed over the workers: how. Empty: none is.
  std::function<std::optional<Reduction>(std::size_t result)> reduction = {};
};

// Runs it line by line, operator after operator.
void run_dynamic(const StepFunction& function, Device& device, const StepKey& key, std::span<const Tensor> inputs,
                 const StepFunction::OnResult& on_result);

// What a run would do, and the function's number of each of the graph's results.
struct CapturedFunction {
  Graph graph;
  Tensors states;  // as graph.states() names them
  std::vector<std::size_t> results;
};
CapturedFunction capture(const StepFunction& function, Device& device, std::span<const Spec> inputs);

}  // namespace convoy
