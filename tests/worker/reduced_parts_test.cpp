#include "worker/reduced_parts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <vector>

#include "cluster/link.h"
#include "distributed/solo.h"
#include "tests/worker/serving.h"
#include "worker/transfer.h"

namespace convoy::worker {
namespace {

using distributed::BucketLayout;
using distributed::GradientReducer;

constexpr std::int64_t kElements = 1'500'000;  // 6 MB: several pieces

// A worker alone, whose next step is summed where the last one's gradient lies.
class Keeper {
 public:
  Keeper() : layout_({{"w", kElements, 0}}, 1 << 30), reducer_(layout_, 2) {
    arena_.resize(reducer_.arena_bytes() / sizeof(float));
    reducer_.use_arena(std::as_writable_bytes(std::span(arena_)));
  }

  GradientReducer& reducer() { return reducer_; }

  void begin(std::int64_t step) { reducer_.begin_step(step, distributed::regular_assignment(2, 1), 0); }
  void compute(std::int64_t step) {
    const std::int32_t leaf = reducer_.missing().front();
    reducer_.begin_leaf(leaf);
    reducer_.add(0, std::vector<float>(kElements, static_cast<float>(step)));
    reducer_.end_leaf({.loss = 0.5 * static_cast<double>(step), .count = 1.0});
  }
  void reduce(std::int64_t step) {
    begin(step);
    compute(step);
    compute(step);
    reducer_.reduce(alone_);
  }

 private:
  const BucketLayout layout_;
  GradientReducer reducer_;
  std::vector<float> arena_;
  distributed::SoloCommunicator alone_;
};

class ReducedPartsTest : public testing::TestWithParam<Way> {
 protected:
  // Whether the gradient of step 7 came from there.
  bool fetch_from(const Find& find, GradientReducer& into) {
    const Uuid uuid = Uuid::random();
    const auto donor = make_donor(uuid, token_, find);
    const std::vector<Source> donors{{.uuid = uuid, .service = donor->service()}};
    const Asker asker{.self = Uuid::random(), .token = token_, .ballot = kServedBallot};
    const TransferOptions options{.donors = donors,
                                  .asker = asker,
                                  .what = Pull::What::kGradient,
                                  .step = 7,
                                  .stall = std::chrono::seconds(60),
                                  .way = GetParam(),
                                  .most_bytes = 1 << 20};
    return fetch(options, destination_of(into.place_to_take_over()), {}).done;
  }

  const std::string token_ = cluster::make_token();
};

INSTANTIATE_TEST_SUITE_P(Ways, ReducedPartsTest, testing::Values(Way::kMemory, Way::kSocket, Way::kNetwork),
                         [](const auto& way) {
                           return way.param == Way::kMemory   ? "Memory"
                                  : way.param == Way::kSocket ? "Socket"
                                                              : "Network";
                         });

TEST_P(ReducedPartsTest, ArriveWithWhoGaveThem) {
  Keeper donor;
  donor.reduce(7);
  Keeper asker;
  ASSERT_TRUE(fetch_from([&](const Ballot&, const Pull& pull) { return offer_of_reduced(donor.reducer(), pull.step); },
                         asker.reducer()));
  asker.reducer().taken_over(7);
  EXPECT_TRUE(std::ranges::equal(asker.reducer().reduced(), donor.reducer().reduced()));
  EXPECT_EQ(asker.reducer().reduced_sums().loss, 7.0);
  EXPECT_EQ(asker.reducer().reduced_sums().count, 2.0);
  EXPECT_TRUE(std::ranges::equal(asker.reducer().contributions(), std::vector<std::int32_t>{0, 0}));
}

TEST_P(ReducedPartsTest, AreNotThoseOfAnotherStep) {
  Keeper donor;
  donor.reduce(6);
  Keeper asker;
  EXPECT_FALSE(fetch_from([&](const Ballot&, const Pull& pull) { return offer_of_reduced(donor.reducer(), pull.step); },
                          asker.reducer()));
}

// The donor goes on at whatever moment: what has come by then is void, and nobody applies a half of this step's
// gradient with a half of the next one's.
TEST_P(ReducedPartsTest, AreNotServedWhileTheyAreWrittenOver) {
  for (const bool through : {false, true}) {
    for (const int at : {1, 2, 3, 4, 9, 12}) {
      Keeper donor;
      donor.reduce(7);
      std::atomic<int> questions = 0;
      const Find find = [&](const Ballot&, const Pull& pull) {
        if (++questions == at) {
          if (through) {
            donor.reduce(8);
          } else {
            donor.begin(8);
            donor.compute(8);
          }
        }
        return offer_of_reduced(donor.reducer(), pull.step);
      };
      Keeper asker;
      const bool done = fetch_from(find, asker.reducer());
      EXPECT_GE(questions, at) << "there were fewer pieces";
      EXPECT_FALSE(done) << "served at question " << at << " of a gradient that was written over";
    }
  }
}

}  // namespace
}  // namespace convoy::worker
