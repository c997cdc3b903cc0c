// Who gave which leaves (logical shards) to a sum, told by the sum itself.
//
// With the losses of each leaf, numbers travel along the tree in which every leaf has its own digits: one bit that says
// that it was added, and the rank that added it. They are whole numbers that fp64 adds without rounding, so what comes
// out tells exactly what went in: a leaf that is missing, or that was added more than once, cannot stay unseen.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "distributed/leaf_set.h"

namespace convoy::distributed {

class ContributionCode {
 public:
  ContributionCode() = default;
  // Of sums over `leaves` leaves among `world` ranks.
  ContributionCode(std::int32_t leaves, std::int32_t world);

  // Numbers that travel: 3 where there are few leaves, 61 for 1,024 of them among 4 ranks.
  std::size_t width() const { return 1 + presence_words_ + rank_words_; }
  // What `rank` adds for a partial sum over these leaves.
  void encode(const LeafSet& leaves, std::int32_t rank, std::span<double> numbers) const;
  // By leaf, the rank that gave it. Throws Error(kInternal) that names the step, and a leaf where it can, unless each
  // was given exactly once.
  void decode(std::span<const double> total, std::int64_t step, std::span<std::int32_t> ranks) const;

 private:
  std::int32_t leaves_ = 0;
  std::int32_t rank_bits_ = 0;      // of a leaf's digits; none where there is one rank
  std::int32_t ranks_a_word_ = 1;   // leaves whose ranks one number holds
  std::size_t presence_words_ = 0;  // behind the number of leaves
  std::size_t rank_words_ = 0;
};

}  // namespace convoy::distributed
