// Several elementwise operators as one.
#pragma once

#include <memory>
#include <string_view>

#include "core/graph/passes/fused_program.h"

namespace convoy {

class FusedElementwise final : public Op {
 public:
  explicit FusedElementwise(FusedProgram program)
      : program_(std::make_shared<const FusedProgram>(std::move(program))) {}

  std::string_view name() const override { return "fused_elementwise"; }
  Traits traits() const override;
  void attributes(AttributeVisitor& visitor) const override;
  Specs infer(std::span<const Spec> in) const override { return program_->infer(in); }
  Cost cost(std::span<const Spec> inputs, std::span<const Spec> outputs) const override;
  PreparedPtr prepare(const PrepareArgs& args) const override;

 private:
  std::shared_ptr<const FusedProgram> program_;
};

}  // namespace convoy
