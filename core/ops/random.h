// Operators that draw random numbers: a pure function of the step's key and the op's ordinal in the program.
#pragma once

#include <cstdint>

#include "core/base/philox.h"
#include "core/tensor/tensor.h"

namespace convoy {

// Zeroes each element of x (f32, f64 or bf16) with probability p, 0 ≤ p < 1, and scales the others by 1/(1 - p). The
// mask is the same for every dtype and drawn anew in the backward pass. p = 0 gives x itself.
Tensor dropout(const Tensor& x, double p);

// The random words behind elements [4·first, 4·(first + blocks)): philox({i, i >> 32, 0, 0}, key) for each block i.
void philox_words(PhiloxKey key, std::uint64_t first, std::int64_t blocks, std::uint32_t* words);

}  // namespace convoy
