#include "core/graph/graph.h"

#include <gtest/gtest.h>

#include <string>

#include "core/base/error.h"
#include "core/device/cpu_device.h"
#include "core/graph/registry.h"

namespace convoy {
namespace {

class GraphTest : public testing::Test {
 protected:
  // y = -(x + w); w becomes x + w.
  Graph sample(const std::string& prefix = "") {
    Graph graph(device_);
    const ValueId x = graph.add_input(prefix + "x", spec_);
    const ValueId w = graph.add_state(prefix + "w", spec_);
    const ValueId sum = graph.node(graph.append(make_op("add"), Phase::kForward, {x, w})).outputs[0];
    const ValueId y = graph.node(graph.append(make_op("neg"), Phase::kBackward, {sum})).outputs[0];
    graph.add_result(prefix + "y", y);
    graph.assign(w, sum);
    return graph;
  }

  static std::string refusal(const Graph& graph) {
    try {
      verify(graph);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInternal);
      return error.what();
    }
    return "";
  }

  CpuDevice device_;
  Spec spec_{DType::kF32, {2, 3}, &device_};
};

TEST_F(GraphTest, HasAText) {
  EXPECT_EQ(to_text(sample()),
            "%0 = input x: f32[2, 3]\n"
            "%1 = state w: f32[2, 3]\n"
            "%2 = forward add() %0, %1: f32[2, 3]\n"
            "%3 = backward neg() %2: f32[2, 3]\n"
            "result y = %3\n"
            "assign %1 = %2\n");
}

TEST_F(GraphTest, TextShowsSumsOverWorkersWhereTheyBegin) {
  const auto sums = [&](std::int32_t bucket) {
    Graph graph(device_);
    const ValueId x = graph.add_input("x", spec_);
    const ValueId y = graph.node(graph.append(make_op("neg"), Phase::kBackward, {x})).outputs[0];
    graph.append(make_op("neg"), Phase::kBackward, {y});
    graph.add_result("w", y, Reduction{.axis = "data", .bucket = bucket});
    return graph;
  };
  EXPECT_EQ(to_text(sums(3)),
            "%0 = input x: f32[2, 3]\n"
            "%1 = backward neg() %0: f32[2, 3]\n"
            "communication all_reduce(axis=data, bucket=3) w = %1\n"
            "%2 = backward neg() %1: f32[2, 3]\n");
  EXPECT_NE(fingerprint(sums(3)), fingerprint(sums(4))) << "workers that cut buckets differently would not meet";
}

TEST_F(GraphTest, VerifierTakesWhatIsSound) { EXPECT_EQ(refusal(sample()), ""); }

TEST_F(GraphTest, VerifierNamesWhatIsNot) {
  Graph twice = sample();
  twice.assign(1, 0);
  EXPECT_EQ(refusal(twice), "graph: state w is assigned twice");

  Graph input = sample();
  input.assign(0, 2);
  EXPECT_EQ(refusal(input), "graph: %0 is assigned to and no state");

  Graph missing = sample();
  missing.add_result("z", 9);
  EXPECT_EQ(refusal(missing), "graph: result z: there is no value %9");

  Graph other = sample();
  const ValueId narrow = other.add_state("v", {DType::kF32, {2}, &device_});
  other.assign(narrow, 2);
  EXPECT_EQ(refusal(other), "graph: state v is f32[2], assigned f32[2, 3]");
}

TEST_F(GraphTest, AppendRefusesWhatTheOperatorDoes) {
  Graph graph = sample();
  const ValueId other = graph.add_input("other", {DType::kF32, {4}, &device_});
  EXPECT_THROW(graph.append(make_op("add"), Phase::kForward, {0, other}), Error);
}

TEST_F(GraphTest, FingerprintIsOfTheComputationAndNotOfNames) {
  EXPECT_EQ(fingerprint(sample()), fingerprint(sample("another ")));
  Graph more = sample();
  more.append(make_op("neg"), Phase::kForward, {0});
  EXPECT_NE(fingerprint(more), fingerprint(sample()));
  Graph updated = sample();
  updated.add_result("w", 1);
  EXPECT_NE(fingerprint(updated), fingerprint(sample()));
}

}  // namespace
}  // namespace convoy
