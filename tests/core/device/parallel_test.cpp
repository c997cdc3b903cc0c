#include "core/device/parallel.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace convoy {
namespace {

class ParallelForTest : public testing::TestWithParam<int> {};

INSTANTIATE_TEST_SUITE_P(Threads, ParallelForTest, testing::Values(1, 2, 3, 8));

// Under ThreadSanitizer it also shows that the order of a loop and what stands around it is known (team_order.h).
TEST_P(ParallelForTest, EveryItemIsSeenOnceBetweenWhatStandsBeforeAndAfter) {
  for (const std::int64_t n : {1, 2, 7, 1000}) {
    std::vector<std::int64_t> items(static_cast<std::size_t>(n));
    std::iota(items.begin(), items.end(), 0);
    parallel_for(GetParam(), n, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) items[static_cast<std::size_t>(i)] += n;
    });
    for (std::int64_t i = 0; i < n; ++i) EXPECT_EQ(items[static_cast<std::size_t>(i)], n + i);
  }
}

TEST_P(ParallelForTest, PiecesHoldAGrainAndNothingIsNoPiece) {
  std::vector<std::int64_t> pieces(100, 0);  // by where they begin
  parallel_for(GetParam(), 100, 30,
               [&](std::int64_t begin, std::int64_t end) { pieces[static_cast<std::size_t>(begin)] = end - begin; });
  EXPECT_EQ(std::accumulate(pieces.begin(), pieces.end(), std::int64_t{0}), 100);
  for (const std::int64_t piece : pieces) EXPECT_TRUE(piece == 0 || piece >= 30) << piece;

  parallel_for(GetParam(), 0, 1, [](std::int64_t, std::int64_t) { ADD_FAILURE() << "a piece of nothing"; });
}

}  // namespace
}  // namespace convoy
