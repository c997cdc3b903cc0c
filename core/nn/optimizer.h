// What turns a reduced gradient into the next parameters: a rule and the moments it keeps between steps.
//
// Whoever owns the parameters owns the moments too and hands both over bucket by bucket. A new kind is a file of its
// own, which make_optimizer() names, and a value of optimizer.kind in core/base/recipe_schema.cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/base/recipe.h"
#include "core/tensor/tensor.h"

namespace convoy {

// What an update needs to know of a step besides the gradient.
struct UpdateFactors {
  double lr = 0.0;
  double gradient_scale = 1.0;  // clip factor / count: the gradient is multiplied by it first
  bool apply = true;            // false: the step changes nothing
};

// Parameters of one group that lie one after the other, with what belongs to them: contiguous f32 [n].
struct ParameterSlice {
  // Elements [begin, end) of the slice; begin is a multiple of kSquareChunk (core/ops/update.h). There may be padding
  // between parameters, which is zero and stays zero.
  struct Extent {
    std::int64_t begin = 0;
    std::int64_t end = 0;
  };
  Tensor values;
  Tensor gradient;
  std::vector<Tensor> moments;  // as Optimizer::moments() names them
  std::vector<Extent> parameters;
  bool decays = false;  // weight decay applies to them (ParameterGroup::kDecay)
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  // The names of the moments: each has one value for each value of a parameter, starts at zero and stands in
  // checkpoints as "<moment>.<parameter>".
  const std::vector<std::string>& moments() const { return moments_; }
  // Whether it treats parameters that decay otherwise than those that do not, so that they need slices of their own.
  virtual bool tells_groups_apart() const = 0;
  // What the rule must know of a step, in the order of its own operator: always as many numbers. `step` counts from 1.
  virtual std::vector<double> factors(std::int64_t step, const UpdateFactors& factors) const = 0;
  // Writes values and moments of the slice, in place. `factors`: those numbers, f64 [n], so that a captured update is
  // every step's. A Recorder is active.
  virtual void update(const Tensor& factors, const ParameterSlice& slice) const = 0;

 protected:
  explicit Optimizer(std::vector<std::string> moments) : moments_(std::move(moments)) {}

 private:
  std::vector<std::string> moments_;
};

// Throws Error(kUsage) for a kind that there is not.
std::unique_ptr<Optimizer> make_optimizer(const OptimizerRecipe& recipe);

}  // namespace convoy
