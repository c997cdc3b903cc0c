// What a run trains: its data, its model and what a training step computes. By default all three are what the recipe
// says; a program built on the library brings its own.
#pragma once

#include <functional>
#include <memory>

#include "core/base/recipe.h"
#include "core/data/dataset.h"
#include "core/nn/model.h"

namespace convoy::worker {

// The loss of one logical shard of a step, made of ops from the model's parameters and the batch: the sum over what it
// counts, and how many that is. Gradients of the sums are added over all shards and divided by the summed counts.
using TrainingStep = std::function<Loss(const Model& model, const Batch& batch)>;

struct Workload {
  // Throw Error(kUsage) for a recipe that asks for what cannot be had.
  std::function<std::unique_ptr<Dataset>(const Recipe& recipe)> open_dataset = [](const Recipe& recipe) {
    return convoy::open_dataset(recipe.data);
  };
  std::function<std::unique_ptr<Model>(const Recipe& recipe, const TaskSpec& task)> make_model =
      [](const Recipe& recipe, const TaskSpec& task) { return convoy::make_model(recipe.model, task); };
  TrainingStep step = [](const Model& model, const Batch& batch) {
    return model.loss(batch.inputs, batch.targets, Mode::kTrain);
  };
};

// What the data set asks of a model.
TaskSpec task_of(const Dataset& dataset, const DataRecipe& recipe);

}  // namespace convoy::worker
