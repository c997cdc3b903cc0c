#include "worker/outbox.h"

#include <gtest/gtest.h>

#include <variant>
#include <vector>

namespace convoy::worker {
namespace {

// Steps of the reports in it, evaluations negative.
std::vector<std::int64_t> content(const Outbox& outbox) {
  std::vector<std::int64_t> content;
  outbox.for_each([&](const cluster::Body& body) {
    if (const auto* step = std::get_if<cluster::StepReport>(&body)) content.push_back(step->step);
    if (const auto* evaluation = std::get_if<cluster::EvalReport>(&body)) content.push_back(-evaluation->step);
  });
  return content;
}

TEST(OutboxTest, KeepsWhatMayNotBeOnRecord) {
  Outbox outbox;
  EXPECT_EQ(outbox.oldest(), Outbox::kNone);
  for (std::int64_t step = 1; step <= 3; ++step) {
    outbox.add(step, cluster::StepReport{.step = step});
    outbox.add(step, cluster::EvalReport{.step = step, .loss = 0.0, .accuracy = {}});
  }
  outbox.recorded(0);
  EXPECT_EQ(content(outbox), (std::vector<std::int64_t>{1, -1, 2, -2, 3, -3}));
  outbox.recorded(2);  // what was said after step 2 may still be on its way
  EXPECT_EQ(content(outbox), (std::vector<std::int64_t>{-2, 3, -3}));
  EXPECT_EQ(outbox.oldest(), 2);
  outbox.recorded(1);
  EXPECT_EQ(content(outbox), (std::vector<std::int64_t>{-2, 3, -3}));
  outbox.recorded_all();
  EXPECT_TRUE(content(outbox).empty());
}

}  // namespace
}  // namespace convoy::worker
