// Which samples a logical shard of a step holds, read into tensors. No rank in it: a pure function of (seed, step,
// shard).
#pragma once

#include <cstdint>
#include <span>

#include "core/base/recipe.h"
#include "core/data/dataset.h"
#include "core/data/sample_order.h"

namespace convoy::worker {

class Batches {
 public:
  // Keeps references to `dataset` and `device`.
  Batches(const Dataset& dataset, const TrainRecipe& recipe, Device& device);

  // step from 1.
  Batch training(std::int64_t step, std::int32_t shard) const;

  // The held-out samples, in order, in batches of the size of a shard; the last one is padded.
  std::int32_t evaluation_batches() const;
  Batch evaluation(std::int32_t index) const;

 private:
  Batch read(Split split, std::span<const SampleId> samples) const;

  const Dataset& dataset_;
  Device& device_;
  SampleOrder order_;
  std::int64_t global_batch_;
  std::int64_t logical_shards_;
  std::int64_t shard_batch_;  // samples
};

}  // namespace convoy::worker
