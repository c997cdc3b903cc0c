// Records a step as a Graph instead of running it: while a Capture lives, apply() appends nodes, and tensors are
// symbols without elements.
//
//   Capture capture(device);
//   const Tensor x = capture.input("x", spec);
//   capture.state("weight", weight);               // a tensor with elements that the step reads, and may update
//   capture.result("loss", model.loss(x, …).sum);
//   const Graph graph = capture.finish();
//
// The code that is captured must not depend on values: reading one throws Error(kInvalidArgument) with the place, and
// so does using a tensor with elements that was not declared, which would be a constant nobody asked for.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "core/graph/graph.h"
#include "core/graph/recorder.h"

namespace convoy {

class Capture {
 public:
  // Current for its thread, as a Recorder is.
  explicit Capture(Device& device);

  Tensor input(std::string name, const Spec& spec);
  // Keeps a handle to `tensor`. The same tensor twice is an error.
  void state(std::string name, const Tensor& tensor);
  // In the order of their declaration.
  Tensors states() const;
  void result(std::string name, const Tensor& value, std::optional<Reduction> reduction = {});
  // The graph, verified. Nothing more may be captured.
  Graph finish();

  Recorder& recorder() { return recorder_; }

 private:
  friend Tensors apply(const OpPtr& op, std::span<const Tensor> inputs);
  friend void apply_update(const OpPtr& op, std::span<const Tensor> inputs, std::span<const Tensor> state);

  Tensors append(const OpPtr& op, std::span<const Tensor> inputs);
  void append_update(const OpPtr& op, std::span<const Tensor> inputs, std::span<const Tensor> state);
  ValueId value_of(const Tensor& tensor, std::string_view user) const;
  Tensor symbol(ValueId value) const { return Tensor::symbol(graph_.value(value).spec, {recorder_.id(), value}); }

  struct State {
    Tensor tensor;   // keeps its identity unique
    ValueId before;  // its value when the step begins
    ValueId now;     // and after what was captured so far
  };
  // Null for a tensor that was not declared.
  const State* find(const Tensor& tensor) const;
  Graph graph_;
  std::vector<State> states_;                              // in the order of their declaration
  std::unordered_map<const void*, std::size_t> state_of_;  // by identity
  Recorder recorder_;
};

}  // namespace convoy
