// Elementwise operators and the reduction of what they make, as one that never stores it.
#pragma once

#include <memory>
#include <string_view>

#include "core/graph/passes/fused_program.h"

namespace convoy {

class FusedReduction final : public Op {
 public:
  // The program's only output is the reduction's input, which it can be fed (TileReducible).
  FusedReduction(FusedProgram program, OpPtr reduction);

  std::string_view name() const override { return "fused_reduction"; }
  Traits traits() const override;
  void attributes(AttributeVisitor& visitor) const override;
  Specs infer(std::span<const Spec> in) const override { return reduction_->infer(program_->infer(in)); }
  Cost cost(std::span<const Spec> inputs, std::span<const Spec> outputs) const override;
  PreparedPtr prepare(const PrepareArgs& args) const override;

 private:
  std::shared_ptr<const FusedProgram> program_;
  OpPtr reduction_;
};

}  // namespace convoy
