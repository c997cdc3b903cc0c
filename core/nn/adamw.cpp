#include "core/nn/adam_factors.h"
#include "core/nn/optimizer_kinds.h"
#include "core/ops/update.h"

namespace convoy {
namespace {

class AdamW final : public Optimizer {
 public:
  explicit AdamW(const OptimizerRecipe& recipe) : Optimizer({"m", "v"}), recipe_(recipe) {}

  bool tells_groups_apart() const override { return recipe_.weight_decay > 0.0; }
  std::vector<double> factors(std::int64_t step, const UpdateFactors& factors) const override {
    return adam_factors(recipe_, step, factors);
  }
  void update(const Tensor& factors, const ParameterSlice& slice) const override {
    const AdamWAttributes attributes{.beta1 = recipe_.beta1,
                                     .beta2 = recipe_.beta2,
                                     .epsilon = recipe_.epsilon,
                                     .weight_decay = slice.decays ? recipe_.weight_decay : 0.0};
    adamw_update(attributes, slice.values, slice.moments[0], slice.moments[1], slice.gradient, factors);
  }

 private:
  OptimizerRecipe recipe_;
};

}  // namespace

std::unique_ptr<Optimizer> make_adamw(const OptimizerRecipe& recipe) { return std::make_unique<AdamW>(recipe); }

}  // namespace convoy
