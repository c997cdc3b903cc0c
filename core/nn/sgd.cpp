#include "core/nn/optimizer_kinds.h"
#include "core/ops/update.h"

namespace convoy {
namespace {

class Sgd final : public Optimizer {
 public:
  explicit Sgd(const OptimizerRecipe& recipe)
      : Optimizer(recipe.momentum > 0.0 ? std::vector<std::string>{"momentum_buffer"} : std::vector<std::string>{}),
        recipe_(recipe) {}

  bool tells_groups_apart() const override { return recipe_.weight_decay > 0.0; }
  std::vector<double> factors(std::int64_t, const UpdateFactors& factors) const override {
    return {factors.lr, factors.gradient_scale, factors.apply ? 1.0 : 0.0};
  }
  void update(const Tensor& factors, const ParameterSlice& slice) const override {
    const SgdAttributes attributes{.momentum = recipe_.momentum,
                                   .nesterov = recipe_.nesterov,
                                   .weight_decay = slice.decays ? recipe_.weight_decay : 0.0};
    std::vector<Tensor> state = {slice.values};
    state.insert(state.end(), slice.moments.begin(), slice.moments.end());
    sgd_update(attributes, state, slice.gradient, factors);
  }

 private:
  OptimizerRecipe recipe_;
};

}  // namespace

std::unique_ptr<Optimizer> make_sgd(const OptimizerRecipe& recipe) { return std::make_unique<Sgd>(recipe); }

}  // namespace convoy
