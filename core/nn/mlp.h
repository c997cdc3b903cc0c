// A multi-layer perceptron: linear layers with an activation between them.
#pragma once

#include <vector>

#include "core/nn/layers.h"
#include "core/nn/model.h"

namespace convoy {

struct MlpOptions {
  std::int64_t inputs = 0;  // numbers a sample
  std::vector<std::int64_t> hidden;
  std::int64_t classes = 0;
  Activation activation = Activation::kRelu;
  double dropout = 0.0;  // after each hidden layer
};

class Mlp final : public Model {
 public:
  explicit Mlp(const MlpOptions& options);
  Tensor logits(const Tensor& inputs, Mode mode) const override;

 private:
  MlpOptions options_;
  std::vector<Linear> layers_;
};

}  // namespace convoy
