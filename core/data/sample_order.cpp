#include "core/data/sample_order.h"

#include <bit>

#include "core/base/error.h"

namespace convoy {
namespace {

constexpr std::uint64_t kPurpose = 0x6f72646572;  // "order": keeps this key apart from other uses of the seed
constexpr std::uint32_t kRounds = 6;

// Half the bits of the smallest domain of 2, 4, 6, … bits that holds n values.
int half_bits_for(std::int64_t n) {
  const int bits = std::bit_width(static_cast<std::uint64_t>(n - 1));
  return bits < 2 ? 1 : (bits + 1) / 2;
}

}  // namespace

SampleOrder::SampleOrder(std::uint64_t seed, std::int64_t n) : key_(mix(seed, kPurpose)), n_(n), half_bits_(0) {
  if (n < 1) fail(ErrorCode::kInvalidArgument, "a sample order needs at least 1 sample, got {}", n);
  half_bits_ = half_bits_for(n);
}

// A balanced Feistel network: a bijection on blocks of 2·half_bits_ bits whatever its round function.
std::uint64_t SampleOrder::encrypt(std::uint64_t block, std::uint64_t epoch) const {
  const std::uint32_t mask = (std::uint32_t{1} << half_bits_) - 1;
  auto left = static_cast<std::uint32_t>(block >> half_bits_);
  auto right = static_cast<std::uint32_t>(block) & mask;
  for (std::uint32_t round = 0; round < kRounds; ++round) {
    const auto noise =
        philox({right, round, static_cast<std::uint32_t>(epoch), static_cast<std::uint32_t>(epoch >> 32)}, key_);
    const std::uint32_t mixed = left ^ (noise[0] & mask);
    left = right;
    right = mixed;
  }
  return std::uint64_t{left} << half_bits_ | right;
}

std::int64_t SampleOrder::at(std::int64_t epoch, std::int64_t index) const {
  if (epoch < 0 || index < 0 || index >= n_) {
    fail(ErrorCode::kInvalidArgument, "sample order: epoch {}, index {}; expected epoch >= 0 and 0 <= index < {}",
         epoch, index, n_);
  }
  // Cycle walking: the domain is less than four times n, so a block outside [0, n) is encrypted again until inside,
  // which keeps the map a bijection on [0, n).
  auto block = static_cast<std::uint64_t>(index);
  do {
    block = encrypt(block, static_cast<std::uint64_t>(epoch));
  } while (block >= static_cast<std::uint64_t>(n_));
  return static_cast<std::int64_t>(block);
}

SampleId SampleOrder::sample(std::int64_t global_index) const {
  const std::int64_t epoch = global_index / n_;
  return {.number = at(epoch, global_index % n_), .epoch = epoch};
}

std::vector<SampleId> shard_samples(const SampleOrder& order, std::int64_t step, std::int64_t global_batch,
                                    std::int64_t logical_shards, std::int64_t shard) {
  const std::int64_t count = global_batch / logical_shards;
  std::vector<SampleId> samples(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    samples[static_cast<std::size_t>(i)] = order.sample(step * global_batch + shard * count + i);
  }
  return samples;
}

}  // namespace convoy
