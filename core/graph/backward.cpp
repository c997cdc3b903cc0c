#include "core/graph/backward.h"

#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/graph/apply.h"
#include "core/graph/recorder.h"
#include "core/graph/registry.h"

namespace convoy {
namespace {

// The values that depend on a parameter: only they carry gradients.
std::vector<bool> reachable(const std::vector<TapeNode>& nodes, std::size_t values,
                            std::span<const std::int32_t> parameters) {
  std::vector<bool> active(values, false);
  for (const std::int32_t parameter : parameters) active[static_cast<std::size_t>(parameter)] = true;
  for (const TapeNode& node : nodes) {
    bool any = false;
    for (const std::int32_t value : node.input_values) any = any || active[static_cast<std::size_t>(value)];
    if (!any) continue;
    for (const std::int32_t value : node.output_values) active[static_cast<std::size_t>(value)] = true;
  }
  return active;
}

constexpr std::size_t kNoNode = ~std::size_t{0};

// The first node that uses each value: once the pass has gone by it, the value's gradient is final.
std::vector<std::size_t> first_uses(const std::vector<TapeNode>& nodes, std::size_t values) {
  std::vector<std::size_t> first(values, kNoNode);
  for (std::size_t i = nodes.size(); i-- > 0;) {
    for (const std::int32_t value : nodes[i].input_values) first[static_cast<std::size_t>(value)] = i;
  }
  return first;
}

}  // namespace

void backward(const Tensor& loss, std::span<const Tensor> parameters, const OnGradient& on_gradient) {
  Recorder& recorder = Recorder::current();
  if (loss.elements() != 1)
    fail(ErrorCode::kInvalidArgument, "backward needs a loss of one element, got {}", loss.spec().to_string());
  std::vector<std::int32_t> parameter_values;
  for (const Tensor& parameter : parameters) parameter_values.push_back(recorder.value_of(parameter));
  const std::int32_t loss_value = recorder.value_of(loss);

  std::vector<TapeNode> nodes = std::exchange(recorder.nodes_, {});
  const auto values = static_cast<std::size_t>(recorder.values_);
  const std::vector<bool> active = reachable(nodes, values, parameter_values);
  const std::vector<std::size_t> first_use = first_uses(nodes, values);
  std::vector<std::size_t> parameter_of(values, kNoNode);
  for (std::size_t i = 0; i < parameter_values.size(); ++i)
    parameter_of[static_cast<std::size_t>(parameter_values[i])] = i;

  const TapePause pause;
  const PhaseScope phase(Phase::kBackward);
  const OpPtr add = make_op("add");
  Tensors gradients(values);
  gradients[static_cast<std::size_t>(loss_value)] = apply_one(make_op("ones_like"), {loss});

  for (std::size_t i = nodes.size(); i-- > 0;) {
    const TapeNode node = std::move(nodes[i]);
    nodes.pop_back();
    Tensors output_gradients;
    bool any_gradient = false;
    for (const std::int32_t value : node.output_values) {
      output_gradients.push_back(std::exchange(gradients[static_cast<std::size_t>(value)], {}));
      any_gradient = any_gradient || output_gradients.back().defined();
    }
    std::vector<bool> needed;
    bool any_needed = false;
    for (const std::int32_t value : node.input_values) {
      needed.push_back(active[static_cast<std::size_t>(value)]);
      any_needed = any_needed || needed.back();
    }
    if (any_gradient && any_needed) {
      Tensors input_gradients = node.op->vjp({node.inputs, node.outputs, output_gradients, needed});
      for (std::size_t k = 0; k < input_gradients.size(); ++k) {
        if (!needed[k] || !input_gradients[k].defined()) continue;
        Tensor& sum = gradients[static_cast<std::size_t>(node.input_values[k])];
        sum = sum.defined() ? apply_over(add, std::move(sum), input_gradients[k]) : std::move(input_gradients[k]);
      }
    }
    for (const std::int32_t value : node.input_values) {
      const auto id = static_cast<std::size_t>(value);
      if (first_use[id] != i || parameter_of[id] == kNoNode || !gradients[id].defined()) continue;
      on_gradient(parameter_of[id], contiguous(std::exchange(gradients[id], {})));
    }
  }
}

}  // namespace convoy
