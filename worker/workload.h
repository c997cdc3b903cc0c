// What a run trains: its data and its model. By default both are what the recipe says; a program built on the library
// brings its own.
#pragma once

#include <functional>
#include <memory>

#include "core/base/recipe.h"
#include "core/data/dataset.h"
#include "core/nn/model.h"

namespace convoy::worker {

struct Workload {
  ProgramRecipe program;  // what recipes start from; empty: each stands for itself
  // Throw Error(kUsage) for a recipe that asks for what cannot be had.
  std::function<std::unique_ptr<Dataset>(const Recipe& recipe)> open_dataset = [](const Recipe& recipe) {
    return convoy::open_dataset(recipe.data, recipe.train.seed);
  };
  std::function<std::unique_ptr<Model>(const Recipe& recipe, const TaskSpec& task)> make_model =
      [](const Recipe& recipe, const TaskSpec& task) { return convoy::make_model(recipe.model, task); };
};

// What the data set and the recipe ask of a model.
TaskSpec task_of(const Dataset& dataset, const Recipe& recipe);

}  // namespace convoy::worker
