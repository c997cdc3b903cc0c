#include "core/graph/step_function.h"

#include <utility>

#include "core/base/error.h"
#include "core/graph/recorder.h"

namespace convoy {

void run_dynamic(const StepFunction& function, Device& device, const StepKey& key, std::span<const Tensor> inputs,
                 const StepFunction::OnResult& on_result) {
  Recorder recorder(device, key);
  if (!function.updates) recorder.forbid_updates(function.name);
  function.body(inputs, [&](std::size_t result, std::string_view, const Tensor& value) { on_result(result, value); });
}

CapturedFunction capture(const StepFunction& function, Device& device, std::span<const Spec> inputs) {
  if (inputs.size() != function.inputs.size())
    fail(ErrorCode::kInvalidArgument, "{}: got {} inputs; expected {}", function.name, inputs.size(),
         function.inputs.size());
  Capture capture(device);
  if (!function.updates) capture.recorder().forbid_updates(function.name);
  function.declare(capture);
  Tensors symbols;
  for (std::size_t i = 0; i < inputs.size(); ++i) symbols.push_back(capture.input(function.inputs[i], inputs[i]));
  std::vector<std::size_t> results;
  function.body(symbols, [&](std::size_t result, std::string_view name, const Tensor& value) {
    capture.result(std::string(name), value, function.reduction ? function.reduction(result) : std::nullopt);
    results.push_back(result);
  });
  Tensors states = capture.states();
  return {.graph = capture.finish(), .states = std::move(states), .results = std::move(results)};
}

}  // namespace convoy
