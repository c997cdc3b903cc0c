// Several elementwise operators as one that goes over memory once.
//
// It runs them tile by tile, through scratch memory that stays in the first-level cache: each tile by the very kernels
// that the operators run on their own, with values between them stored, and so rounded, as they would be. So the bits
// are those of one operator after the other.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/graph/op.h"

namespace convoy {

// An operator with the tiled trait. An operand below the number of the whole's inputs is that input, others are
// results of earlier steps, counted on from there.
struct FusedStep {
  OpPtr op;
  std::vector<std::int32_t> operands;
};

class FusedElementwise final : public Op {
 public:
  // What one tile's scratch memory has room for.
  static constexpr std::size_t kMaxInputs = 24;
  static constexpr std::size_t kMaxSteps = 24;

  // Outputs are steps, in their order. All steps have results of one shape, which the inputs broadcast to.
  FusedElementwise(Specs inputs, std::vector<FusedStep> steps, std::vector<std::int32_t> outputs);

  std::string_view name() const override { return "fused_elementwise"; }
  Traits traits() const override;
  void attributes(AttributeVisitor& visitor) const override;
  Specs infer(std::span<const Spec> in) const override;
  void run_cpu(KernelArgs& args) const override;

  std::span<const FusedStep> steps() const { return steps_; }

 private:
  struct Source;
  struct Call;
  void run_tile(const Call& call, std::int64_t first, std::int64_t count, std::byte* scratch) const;

  Specs inputs_;
  std::vector<FusedStep> steps_;
  std::vector<std::int32_t> outputs_;
  Specs results_;                   // of each step
  std::vector<std::int32_t> slot_;  // where each step's tile lies in scratch memory, or -1: in output
  std::vector<std::int32_t> output_of_;
  std::int32_t slots_ = 0;
  std::size_t widest_ = 1;  // bytes of an element
};

}  // namespace convoy
