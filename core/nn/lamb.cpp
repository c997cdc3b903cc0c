#include "core/nn/adam_factors.h"
#include "core/nn/optimizer_kinds.h"
#include "core/ops/update.h"

namespace convoy {
namespace {

// Parameters that do not decay have a trust ratio of 1, as in the authors' code: a bias or a norm's gain starts at zero
// or one, and its norm says nothing about how far it should move.
class Lamb final : public Optimizer {
 public:
  explicit Lamb(const OptimizerRecipe& recipe) : Optimizer({"m", "v"}), recipe_(recipe) {}

  bool tells_groups_apart() const override { return true; }
  std::vector<double> factors(std::int64_t step, const UpdateFactors& factors) const override {
    return adam_factors(recipe_, step, factors);
  }
  void update(const Tensor& factors, const ParameterSlice& slice) const override {
    LambAttributes attributes{.beta1 = recipe_.beta1,
                              .beta2 = recipe_.beta2,
                              .epsilon = recipe_.epsilon,
                              .weight_decay = slice.decays ? recipe_.weight_decay : 0.0,
                              .adapt = slice.decays,
                              .begins = {},
                              .ends = {}};
    for (const ParameterSlice::Extent& parameter : slice.parameters) {
      attributes.begins.push_back(parameter.begin);
      attributes.ends.push_back(parameter.end);
    }
    lamb_update(attributes, slice.values, slice.moments[0], slice.moments[1], slice.gradient, factors);
  }

 private:
  OptimizerRecipe recipe_;
};

}  // namespace

std::unique_ptr<Optimizer> make_lamb(const OptimizerRecipe& recipe) { return std::make_unique<Lamb>(recipe); }

}  // namespace convoy
