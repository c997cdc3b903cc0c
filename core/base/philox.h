// Philox4x32-10, the counter-based random number generator of Salmon, Moraes, Dror and Shaw, "Parallel random numbers:
// as easy as 1, 2, 3" (SC 2011). A pure function: equal (counter, key) give equal numbers on every machine, in any
// order, with no state to keep. Everything random in Convoy is drawn from it.
#pragma once

#include <array>
#include <cstdint>

namespace convoy {

using PhiloxCounter = std::array<std::uint32_t, 4>;
using PhiloxKey = std::array<std::uint32_t, 2>;

// 128 random bits for `counter` in the stream of `key`.
constexpr std::array<std::uint32_t, 4> philox(PhiloxCounter counter, PhiloxKey key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t left = std::uint64_t{0xD2511F53} * counter[0];
    const std::uint64_t right = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<std::uint32_t>(right >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(right),
               static_cast<std::uint32_t>(left >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(left)};
    key[0] += 0x9E3779B9;  // the golden ratio
    key[1] += 0xBB67AE85;  // sqrt(3) - 1
  }
  return counter;
}

// A float in [0, 1) from the upper 24 bits, which a float holds exactly.
constexpr float uniform_float(std::uint32_t bits) { return static_cast<float>(bits >> 8) * 0x1p-24f; }

// The key that stands for a list of 64-bit values (a seed, a step, a purpose): each is encrypted under the key of
// those before it, so order counts and lists that differ anywhere give unrelated keys.
template <typename... Values>
constexpr PhiloxKey mix(Values... values) {
  PhiloxKey key{};
  const auto absorb = [&key](std::uint64_t value) {
    const auto bits = philox({static_cast<std::uint32_t>(value), static_cast<std::uint32_t>(value >> 32), 0, 0}, key);
    key = {bits[0], bits[1]};
  };
  (absorb(static_cast<std::uint64_t>(values)), ...);
  return key;
}

}  // namespace convoy
