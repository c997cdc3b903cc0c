#include "distributed/contributions.h"

#include <algorithm>
#include <bit>

#include "core/base/error.h"

namespace convoy::distributed {
namespace {

constexpr std::int32_t kBits = 52;  // of a number: twice that much is still exact

std::size_t words(std::int32_t leaves, std::int32_t leaves_a_word) {
  return static_cast<std::size_t>((leaves + leaves_a_word - 1) / leaves_a_word);
}

double power(std::int32_t exponent) { return static_cast<double>(std::uint64_t{1} << exponent); }

}  // namespace

ContributionCode::ContributionCode(std::int32_t leaves, std::int32_t world)
    : leaves_(leaves), rank_bits_(std::bit_width(static_cast<std::uint32_t>(world - 1))) {
  presence_words_ = words(leaves, kBits);
  if (rank_bits_ == 0) return;
  ranks_a_word_ = kBits / rank_bits_;
  rank_words_ = words(leaves, ranks_a_word_);
}

void ContributionCode::encode(const LeafSet& leaves, std::int32_t rank, std::span<double> numbers) const {
  std::ranges::fill(numbers, 0.0);
  const std::span<double> presence = numbers.subspan(1, presence_words_);
  const std::span<double> ranks = numbers.subspan(1 + presence_words_, rank_words_);
  leaves.visit([&](std::int32_t leaf) {
    numbers[0] += 1.0;
    presence[static_cast<std::size_t>(leaf / kBits)] += power(leaf % kBits);
    if (rank_words_ > 0)
      ranks[static_cast<std::size_t>(leaf / ranks_a_word_)] += rank * power(leaf % ranks_a_word_ * rank_bits_);
  });
}

// A number of n ones is no sum of fewer than n powers of two, and of n only if each is there once. So if all bits are
// set and there were as many leaves as bits, each leaf came once. Sums too large to be exact are larger than that.
void ContributionCode::decode(std::span<const double> total, std::int64_t step, std::span<std::int32_t> ranks) const {
  for (std::size_t word = 0; word < presence_words_; ++word) {
    const std::int32_t first = static_cast<std::int32_t>(word) * kBits;
    const std::int32_t count = std::min(kBits, leaves_ - first);
    const double found = total[1 + word];
    if (found == power(count) - 1.0) continue;
    if (found < power(count)) {
      const std::int32_t leaf = first + std::countr_one(static_cast<std::uint64_t>(found));
      fail(ErrorCode::kInternal, "step {}: shard {}, or one before it, was left out of the sum or added twice", step,
           leaf);
    }
    fail(ErrorCode::kInternal, "step {}: one of the shards {} to {} was added to the sum more than once", step, first,
         first + count - 1);
  }
  if (total[0] != leaves_)
    fail(ErrorCode::kInternal, "step {}: {} shards were added to the sum, expected {}", step, total[0], leaves_);
  const std::uint64_t mask = (std::uint64_t{1} << rank_bits_) - 1;
  for (std::int32_t leaf = 0; leaf < leaves_; ++leaf) {
    const auto word = static_cast<std::size_t>(leaf / ranks_a_word_);
    const double digits = rank_words_ > 0 ? total[1 + presence_words_ + word] : 0.0;
    ranks[static_cast<std::size_t>(leaf)] =
        static_cast<std::int32_t>(static_cast<std::uint64_t>(digits) >> (leaf % ranks_a_word_ * rank_bits_) & mask);
  }
}

}  // namespace convoy::distributed
