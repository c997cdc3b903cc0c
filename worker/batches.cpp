#include "worker/batches.h"

#include <span>
#include <vector>

#include "distributed/worker_block.h"

namespace convoy::worker {

Batches::Batches(const Dataset& dataset, const TrainRecipe& recipe, Device& device)
    : dataset_(dataset),
      device_(device),
      order_(recipe.seed, dataset.size(Split::kTrain)),
      global_batch_(recipe.global_batch),
      logical_shards_(recipe.logical_shards),
      shard_batch_(recipe.global_batch / recipe.logical_shards),
      steps_(recipe.steps) {}

void Batches::read_ahead(const DataRecipe& recipe, std::int32_t rank, std::int32_t world) {
  training_ = {};
  evaluation_ = {};
  if (recipe.threads == 0) return;
  ReadAhead::Options options{.threads = static_cast<int>(recipe.threads), .depth = recipe.prefetch, .end = 0};

  const Subtree shards = distributed::worker_block(static_cast<std::int32_t>(logical_shards_), rank, world).leaves;
  if (const std::int32_t count = shards.end - shards.begin; count > 0) {
    options.end = steps_ * count;
    training_ = {shards, std::make_unique<ReadAhead>(options, [this, shards, count](std::int64_t number) {
                   return read_training(1 + number / count, shards.begin + static_cast<std::int32_t>(number % count));
                 })};
  }
  const Subtree leaves = distributed::worker_block(evaluation_batches(), rank, world).leaves;
  if (const std::int32_t count = leaves.end - leaves.begin; count > 0) {
    options.end = count;
    evaluation_ = {leaves, std::make_unique<ReadAhead>(options, [this, leaves](std::int64_t number) {
                     return read_evaluation(leaves.begin + static_cast<std::int32_t>(number));
                   })};
  }
}

Batch Batches::training(std::int64_t step, std::int32_t shard) const {
  if (!training_.covers(shard) || step < 1 || step > steps_) return read_training(step, shard);
  const Subtree& block = training_.block;
  return training_.reader->take((step - 1) * (block.end - block.begin) + shard - block.begin);
}

Batch Batches::read_training(std::int64_t step, std::int32_t shard) const {
  return read(Split::kTrain, shard_samples(order_, step - 1, global_batch_, logical_shards_, shard));
}

std::int32_t Batches::evaluation_batches() const {
  return static_cast<std::int32_t>((dataset_.size(Split::kEval) + shard_batch_ - 1) / shard_batch_);
}

Batch Batches::evaluation(std::int32_t index) const {
  if (!evaluation_.covers(index)) return read_evaluation(index);
  return evaluation_.reader->take(index - evaluation_.block.begin);
}

Batch Batches::read_evaluation(std::int32_t index) const {
  std::vector<SampleId> samples(static_cast<std::size_t>(shard_batch_));
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const std::int64_t sample = index * shard_batch_ + static_cast<std::int64_t>(i);
    samples[i].number = sample < dataset_.size(Split::kEval) ? sample : -1;
  }
  return read(Split::kEval, samples);
}

Batch Batches::read(Split split, std::span<const SampleId> samples) const {
  const Batch batch = make_batch(dataset_, static_cast<std::int64_t>(samples.size()), device_);
  dataset_.read(split, samples, batch);
  return batch;
}

}  // namespace convoy::worker
