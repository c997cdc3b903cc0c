#include "core/graph/passes/pass.h"

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/graph/passes/passes.h"
#include "core/ops/elementwise.h"
#include "tests/core/graph/passes/small_graph.h"

namespace convoy {
namespace {

std::string message(std::string_view text) {
  try {
    parse_passes(text);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    return error.what();
  }
  return "nothing was thrown";
}

TEST(PassListTest, ReadsWhatTheCommandLineSays) {
  EXPECT_EQ(parse_passes("none").to_string(), "none");
  EXPECT_EQ(parse_passes("").to_string(), "none");
  EXPECT_EQ(parse_passes("fusion, dead-code").to_string(), "dead-code,fusion");
  EXPECT_EQ(parse_passes("all").to_string(), PassList::defaults().to_string());
  EXPECT_FALSE(parse_passes("all,-fusion").contains("fusion"));
  EXPECT_TRUE(parse_passes("all,-fusion").contains("views"));
  EXPECT_EQ(parse_passes("-fusion").to_string(), parse_passes("all,-fusion").to_string());
  EXPECT_FALSE(parse_passes("all").contains(kRecompute)) << "it costs time: only where it is asked for";
  EXPECT_TRUE(parse_passes("all,recompute").contains(kRecompute));
  EXPECT_TRUE(parse_passes("all").contains(kInPlace));
}

TEST(PassListTest, NamesTheNearestRightPass) {
  EXPECT_EQ(message("all,-fussion"), "there is no pass 'fussion'; did you mean 'fusion'?");
  EXPECT_EQ(message("deadcode"), "there is no pass 'deadcode'; did you mean 'dead-code'?");
  EXPECT_EQ(message("al"), "there is no pass 'al'; did you mean 'all'?");
  EXPECT_EQ(message("all,-all").rfind("there is no pass 'all'; expected one of constants, ", 0), 0U) << message("-all");
  EXPECT_EQ(message("everything").rfind("there is no pass 'everything'; expected one of all, none, constants", 0), 0U);
}

TEST(OptimiseTest, RunsWhatIsOnAndTellsOfIt) {
  SmallGraph small;
  Graph graph = small.capture([&](Capture& capture) {
    const Tensor x = capture.input("x", small.f32({3}));
    neg(x);
    capture.result("y", add(exp(x), exp(x)));
  });
  std::string seen;
  const Graph after = optimise(std::move(graph), parse_passes("dead-code,common-subexpressions"),
                               [&](const Pass& pass, const Graph& before, const Graph& now) {
                                 seen += std::string(pass.name) + " " + std::to_string(before.nodes().size()) + " to " +
                                         std::to_string(now.nodes().size()) + "; ";
                               });
  EXPECT_EQ(seen, "common-subexpressions 4 to 3; dead-code 3 to 2; ");
  EXPECT_EQ(after.nodes().size(), 2U);
}

TEST(OptimiseTest, DescribesEveryPass) {
  for (const Pass& pass : all_passes()) {
    EXPECT_FALSE(pass.what.empty());
    EXPECT_EQ(pass.run == nullptr, pass.name == kInPlace) << pass.name;
  }
}

}  // namespace
}  // namespace convoy
