// Which samples a logical shard of a step holds, read into tensors: a pure function of (seed, step, shard). Who asks
// for which of them is known beforehand, so they can be read ahead; that changes when they are read, and nothing else.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "core/base/recipe.h"
#include "core/base/tree.h"
#include "core/data/dataset.h"
#include "core/data/sample_order.h"
#include "worker/read_ahead.h"

namespace convoy::worker {

class Batches {
 public:
  // Keeps references to `dataset` and `device`.
  Batches(const Dataset& dataset, const TrainRecipe& recipe, Device& device);
  Batches(const Batches&) = delete;
  Batches& operator=(const Batches&) = delete;

  // From now on the batches of this worker's block of shards, up to the recipe's last step, and of its share of the
  // evaluation are read ahead by recipe.threads threads each; with 0 threads they are read where they are asked for.
  // The threads inherit the cores of the one that asks first: on a worker's own cores they take the time in which it
  // waits for its peers, and stay out of other workers' way. Any batch may still be asked for.
  void read_ahead(const DataRecipe& recipe, std::int32_t rank, std::int32_t world);

  // Of the inputs and targets of every batch.
  Specs specs() const { return batch_specs(dataset_, shard_batch_, device_); }
  // step from 1.
  Batch training(std::int64_t step, std::int32_t shard) const;

  // The held-out samples, in order, in batches of the size of a shard; the last one is padded.
  std::int32_t evaluation_batches() const;
  Batch evaluation(std::int32_t index) const;

 private:
  // The block of shards or evaluation batches whose batches are read ahead.
  struct Ahead {
    Subtree block;
    std::unique_ptr<ReadAhead> reader;  // none: nothing is

    bool covers(std::int32_t index) const { return reader != nullptr && index >= block.begin && index < block.end; }
  };

  Batch read(Split split, std::span<const SampleId> samples) const;
  Batch read_training(std::int64_t step, std::int32_t shard) const;
  Batch read_evaluation(std::int32_t index) const;

  const Dataset& dataset_;
  Device& device_;
  SampleOrder order_;
  std::int64_t global_batch_;
  std::int64_t logical_shards_;
  std::int64_t shard_batch_;  // samples
  std::int64_t steps_;
  Ahead training_, evaluation_;  // last: their threads use what stands above
};

}  // namespace convoy::worker
