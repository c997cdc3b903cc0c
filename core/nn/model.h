// A model: named parameters and a forward pass made of ops.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/base/recipe.h"
#include "core/nn/parameter.h"
#include "core/ops/softmax.h"

namespace convoy {

enum class Mode : std::uint8_t { kTrain, kInfer };  // kTrain: dropout is on, batches are normalised by themselves

// What a model is asked to do: the inputs it reads and the classes it tells apart.
struct TaskSpec {
  DType dtype = DType::kF32;        // of the inputs: i32, or that of the activations
  Shape shape;                      // of one sample's inputs
  std::int64_t classes = 0;         // targets are in [0, classes)
  std::string data_kind;            // for messages
  DType activations = DType::kF32;  // f32 or bf16, for what makes them of tokens; parameters are f32 beside either
};

// What train.precision names.
DType activation_dtype(const TrainRecipe& recipe);

class Model {
 public:
  virtual ~Model() = default;
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const Parameters& parameters() const { return parameters_; }

  // inputs [batch, sample shape...] → logits [batch, ..., classes], of the activations' dtype.
  virtual Tensor logits(const Tensor& inputs, Mode mode) const = 0;
  // Sum of the cross-entropy over all targets that are not -1, in nats, and how many there were.
  Loss loss(const Tensor& inputs, const Tensor& targets, Mode mode) const {
    return cross_entropy(logits(inputs, mode), targets);
  }
  // What a training step minimises, for one logical shard of its batch: a sum made of ops, and how many things it was
  // summed over. Both are added up over all shards; the gradient of their quotient is what the optimizer gets. A model
  // that trains on something else than the plain loss says so here.
  virtual Loss training_step(const Tensor& inputs, const Tensor& targets) const {
    return loss(inputs, targets, Mode::kTrain);
  }

 protected:
  Model() = default;
  Parameters parameters_;
};

// Throws Error(kUsage) where the model cannot take such samples.
std::unique_ptr<Model> make_model(const ModelRecipe& recipe, const TaskSpec& task);

}  // namespace convoy
