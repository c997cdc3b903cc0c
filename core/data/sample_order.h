// Which sample is read when: a keyed permutation of the training samples for every data epoch. A pure function of
// (seed, epoch, index), so any process can ask for any part of it and nothing has to be shuffled, stored or sent.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/philox.h"
#include "core/data/dataset.h"

namespace convoy {

// Immutable; any thread.
class SampleOrder {
 public:
  // n: samples in the training split, ≥ 1. Throws Error(kInvalidArgument).
  SampleOrder(std::uint64_t seed, std::int64_t n);

  std::int64_t size() const { return n_; }

  // The sample at position `index` ∈ [0, n) of data epoch `epoch` ≥ 0: a bijection on [0, n) for each epoch.
  std::int64_t at(std::int64_t epoch, std::int64_t index) const;

  // The sample at position `global_index` ≥ 0 of the endless sequence of epochs. Sample i of step t (from 0) with a
  // global batch of B stands at t·B + i.
  SampleId sample(std::int64_t global_index) const;

 private:
  std::uint64_t encrypt(std::uint64_t block, std::uint64_t epoch) const;

  PhiloxKey key_;
  std::int64_t n_;
  int half_bits_;
};

// The samples of one logical shard of one step (from 0): a slice of global_batch / logical_shards positions.
std::vector<SampleId> shard_samples(const SampleOrder& order, std::int64_t step, std::int64_t global_batch,
                                    std::int64_t logical_shards, std::int64_t shard);

}  // namespace convoy
