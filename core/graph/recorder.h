// The ambient context of model code: which device ops run on, the step's random key, and the tape.
//
// A Recorder is made on the stack around a piece of model code and is current for its thread until it is destroyed;
// recorders nest. It is the only ambient state in the library.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <source_location>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/graph/graph.h"
#include "core/graph/op.h"

namespace convoy {

// One applied op, as backward() needs it. Values are ids within the recorder.
struct TapeNode {
  OpPtr op;
  Tensors inputs;  // without storage where the gradient does not read the elements
  Tensors outputs;
  std::vector<std::int32_t> input_values;
  std::vector<std::int32_t> output_values;
};

// What a training pass adds to state that only a step's update may write, such as running statistics.
struct Emission {
  Tensor state;
  Tensor contribution;  // the state's shape
  std::source_location where{};
};

class Capture;

class Recorder {
 public:
  enum class Tape : std::uint8_t { kOn, kOff };

  Recorder(Device& device, StepKey key, Tape tape = Tape::kOn);
  // For a Capture: operators become nodes of its graph instead of running.
  Recorder(Device& device, Capture& capture);
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  // The innermost recorder of this thread; throws Error(kInvalidArgument) where there is none.
  static Recorder& current();

  Device& device() const { return device_; }
  // No other recorder of this process has it; not 0.
  std::uint64_t id() const { return id_; }
  // Of the step that runs. Throws Error(kInvalidArgument) with the place in a Capture, whose graph is every step's.
  const StepKey& key(std::source_location where = std::source_location::current()) const;
  // The ordinal of the next random op, in program order: with the key, all that its numbers depend on.
  std::int64_t next_random_ordinal() { return random_ordinal_++; }
  bool tape_on() const { return tape_ == Tape::kOn; }
  // Whether this thread captures a graph.
  static bool capturing();
  // Null where operators run.
  Capture* capture() const { return capture_; }
  // What captured nodes are for.
  Phase phase() const { return phase_; }
  // The block of the model that they belong to.
  std::int32_t block() const { return block_; }
  // From now on apply_update() is refused: `function` may be computed twice.
  void forbid_updates(std::string function) { without_updates_ = std::move(function); }
  // Throws Error(kInvalidArgument) where that is so.
  void check_may_update(const Op& op) const;
  // What was recorded so far and not yet consumed by backward(), in program order.
  std::span<const TapeNode> tape() const { return nodes_; }

  // Notes what this pass contributes to `state`; several contributions to one state are added in program order. They
  // carry no gradient. Throws Error(kInvalidArgument) where the shapes differ.
  void emit(const Tensor& state, const Tensor& contribution,
            std::source_location where = std::source_location::current());
  std::span<const Emission> emissions() const { return emissions_; }

  // Adds an applied op to the tape and returns its outputs as tensors that know where they were made.
  Tensors record(const OpPtr& op, std::span<const Tensor> inputs, Tensors outputs);

 private:
  friend class PhaseScope;
  friend class BlockScope;
  friend class TapePause;
  friend void backward(const Tensor&, std::span<const Tensor>, const std::function<void(std::size_t, const Tensor&)>&);
  std::int32_t value_of(const Tensor& tensor);

  Device& device_;
  StepKey key_;
  Tape tape_;
  Capture* capture_ = nullptr;
  Phase phase_ = Phase::kForward;
  std::int32_t block_ = kNoBlock;
  std::int32_t blocks_ = 0;
  std::uint64_t id_;
  std::string without_updates_;  // the function that may not write state; empty: none
  std::int64_t random_ordinal_ = 0;
  std::int32_t values_ = 0;
  std::vector<TapeNode> nodes_;
  std::vector<Emission> emissions_;
  std::unordered_map<const void*, std::int32_t> leaves_;  // tensors made elsewhere, by identity
  Tensors leaf_handles_;                                  // keeps those identities unique
  Recorder* outer_;
};

// What is captured within a scope belongs to a phase.
class PhaseScope {
 public:
  explicit PhaseScope(Phase phase) : recorder_(Recorder::current()), before_(recorder_.phase_) {
    recorder_.phase_ = phase;
  }
  ~PhaseScope() { recorder_.phase_ = before_; }
  PhaseScope(const PhaseScope&) = delete;
  PhaseScope& operator=(const PhaseScope&) = delete;

 private:
  Recorder& recorder_;
  Phase before_;
};

// What is captured within a scope is one block of the model: a part whose inner values may be computed again in the
// backward pass rather than kept (train.recompute). A block within a block belongs to the outer one.
class BlockScope {
 public:
  BlockScope() : recorder_(Recorder::current()), before_(recorder_.block_) {
    if (before_ == kNoBlock) recorder_.block_ = recorder_.blocks_++;
  }
  ~BlockScope() { recorder_.block_ = before_; }
  BlockScope(const BlockScope&) = delete;
  BlockScope& operator=(const BlockScope&) = delete;

 private:
  Recorder& recorder_;
  std::int32_t before_;
};

// Turns the current recorder's tape off for a scope.
class TapePause {
 public:
  TapePause() : recorder_(Recorder::current()), before_(recorder_.tape_) { recorder_.tape_ = Recorder::Tape::kOff; }
  ~TapePause() { recorder_.tape_ = before_; }
  TapePause(const TapePause&) = delete;
  TapePause& operator=(const TapePause&) = delete;

 private:
  Recorder& recorder_;
  Recorder::Tape before_;
};

}  // namespace convoy
