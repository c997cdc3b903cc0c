// What keys everything random in a step. No generator has hidden state: a random op's numbers are a pure function of
// this key and the op's recorded ordinal.
#pragma once

#include <cstdint>

namespace convoy {

struct StepKey {
  std::uint64_t seed = 0;
  std::int64_t step = 0;   // from 1
  std::int32_t shard = 0;  // logical shard
};

}  // namespace convoy
