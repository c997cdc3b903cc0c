// Which training samples were used how often, for proof that each is used exactly once in every pass over the data.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/data/sample_order.h"

namespace convoy {

class SampleUse {
 public:
  // Of steps of `global_batch` samples in `logical_shards` shards.
  SampleUse(SampleOrder order, std::int64_t global_batch, std::int64_t logical_shards);

  // A shard of a step (from 1) was trained on; steps ascend.
  void use(std::int64_t step, std::int64_t shard);
  // There are no steps after this one.
  void finish(std::int64_t steps);

  // A line each: samples that were used again, or not at all in a pass that is over. Only the first few of a pass are
  // named one by one.
  const std::vector<std::string>& wrong() const { return wrong_; }
  std::int64_t samples() const { return samples_; }  // used, each as often as it was

 private:
  struct Epoch {  // a pass over the data
    std::vector<bool> used;
    std::int64_t count = 0;  // of them
    std::int64_t again = 0;
  };

  void close_before(std::int64_t epoch);
  void close(std::int64_t number, const Epoch& epoch);

  const SampleOrder order_;
  const std::int64_t global_batch_;
  const std::int64_t logical_shards_;
  std::map<std::int64_t, Epoch> open_;  // passes that steps still to come may use
  std::int64_t next_ = 0;               // no pass before this one is looked at any more
  std::int64_t samples_ = 0;
  std::vector<std::string> wrong_;
};

}  // namespace convoy
