#include "worker/graph_report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "tests/worker/small_run.h"

namespace convoy::worker {
namespace {

TEST(GraphReportTest, NodesAreUniqueAndInputsAreNodes) {
  const SmallRun run("text");
  const auto replica = run.replica();
  std::vector<float> reduced(static_cast<std::size_t>(replica->layout().elements()));
  replica->capture_step(run.batches().specs(), reduced.data());
  cluster::GraphReport report;
  for (const PlannedFunction& planned : replica->plans()) add_graph(report, planned.name, planned.captured.graph);

  std::set<std::string> names;
  for (const auto& node : report.nodes) EXPECT_TRUE(names.insert(node.name).second) << node.name << " twice";
  for (const auto& node : report.nodes) {
    for (const std::string& input : node.inputs)
      EXPECT_TRUE(names.contains(input.substr(0, input.find(':')))) << input << " of " << node.name;
  }
  EXPECT_TRUE(names.contains("gradient/inputs/inputs"));
  EXPECT_TRUE(names.contains("gradient/state/" + std::string("wte/weight"))) << *names.lower_bound("gradient/state");
  EXPECT_TRUE(names.contains("gradient/results/loss"));
  EXPECT_TRUE(std::any_of(names.begin(), names.end(), [](const std::string& name) {
    return name.starts_with("gradient/communication/bucket_0/") && name.ends_with("/weight");
  }));
  EXPECT_TRUE(std::any_of(names.begin(), names.end(),
                          [](const std::string& name) { return name.starts_with("gradient/forward/block_0/"); }));
  EXPECT_TRUE(std::any_of(names.begin(), names.end(),
                          [](const std::string& name) { return name.starts_with("update/update/adamw_"); }));
}

}  // namespace
}  // namespace convoy::worker
