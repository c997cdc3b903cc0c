#include "worker/batches.h"

#include <span>
#include <vector>

namespace convoy::worker {

Batches::Batches(const Dataset& dataset, const TrainRecipe& recipe, Device& device)
    : dataset_(dataset),
      device_(device),
      order_(recipe.seed, dataset.size(Split::kTrain)),
      global_batch_(recipe.global_batch),
      logical_shards_(recipe.logical_shards),
      shard_batch_(recipe.global_batch / recipe.logical_shards) {}

Batch Batches::training(std::int64_t step, std::int32_t shard) const {
  return read(Split::kTrain, shard_samples(order_, step - 1, global_batch_, logical_shards_, shard));
}

std::int32_t Batches::evaluation_batches() const {
  return static_cast<std::int32_t>((dataset_.size(Split::kEval) + shard_batch_ - 1) / shard_batch_);
}

Batch Batches::evaluation(std::int32_t index) const {
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
