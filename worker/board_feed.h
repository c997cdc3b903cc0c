// What rank 0 tells TensorBoard besides the numbers of each step: the recipe, how weights and gradients are
// distributed, and what a language model writes.
#pragma once

#include <cstdint>
#include <functional>

#include "cluster/messages.h"
#include "core/base/recipe.h"
#include "core/data/dataset.h"
#include "worker/batches.h"
#include "worker/replica.h"

namespace convoy::worker {

class BoardFeed {
 public:
  // `send` queues a message to the scheduler and returns at once. Keeps references to the others.
  BoardFeed(const Recipe& recipe, const Dataset& dataset, const Replica& replica, const Batches& batches,
            std::function<void(cluster::Body)> send);

  // `step`: steps already applied.
  void recipe(std::int64_t step) const;
  // What was captured of a step, as graphs; nothing where steps are dynamic.
  void graphs() const;
  // Every train.histogram_every steps, parameter by parameter: the values after the step, and the mean gradient over
  // its `count` targets, before clipping. `reduced` is the arena of their sums.
  void after_step(std::int64_t step, const float* reduced, double count) const;
  // Where the data is text by bytes: how the model continues the beginning of the first held-out sample.
  void after_evaluation(std::int64_t step);

 private:
  void histogram(std::int64_t step, const std::string& tag, std::span<const float> values, double scale) const;
  bool writes_bytes() const;
  std::span<const std::int32_t> prompt();

  const Recipe& recipe_;
  const Dataset& dataset_;
  const Replica& replica_;
  const Batches& batches_;
  const std::function<void(cluster::Body)> send_;
  std::vector<std::int32_t> prompt_;  // of the text samples, once there was one
};

}  // namespace convoy::worker
