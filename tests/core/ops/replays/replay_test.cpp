// Every operator in a plan: what it is prepared for it does not do again.
#include <gtest/gtest.h>

#include <bit>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "core/device/cpu_device.h"
#include "core/graph/apply.h"
#include "core/graph/capture.h"
#include "core/graph/plan.h"
#include "core/graph/recorder.h"
#include "tests/core/ops/op_inputs.h"
#include "tests/support/counters/counters.h"

namespace convoy {
namespace {

using testing_support::Counts;

constexpr StepKey kKey{.seed = 11, .step = 3, .shard = 2};

// A case, or what the row's update makes of its inputs, as a graph. All inputs are states, which may lie anyhow.
struct Captured {
  Captured(const OpRow& row, const OpCase& op_case, const Tensors& inputs) {
    if (row.update) update = row.update(inputs);
    states = update ? update->inputs : inputs;
    Capture capture(inputs[0].device());
    for (std::size_t i = 0; i < states.size(); ++i) capture.state("x" + std::to_string(i), states[i]);
    if (update) {
      apply_update(update->op, states, written(states));
    } else {
      for (const Tensor& output : op_case.run(states)) capture.result("y" + std::to_string(results++), output);
    }
    graph.emplace(capture.finish());
  }
  std::span<const Tensor> written(const Tensors& operands) const {
    return std::span(operands).first(update->op->infer(specs_of(operands)).size());
  }

  std::optional<OpUpdate> update;
  std::optional<Graph> graph;
  Tensors states;
  std::size_t results = 0;
};

std::vector<Values> values_of(std::span<const Tensor> tensors) {
  std::vector<Values> values;
  for (const Tensor& tensor : tensors) values.push_back(as_doubles(tensor));
  return values;
}

// Line by line: a case's outputs, or the states behind so many updates.
std::vector<Values> dynamic_values(const Captured& captured, const OpCase& op_case, int updates) {
  const Recorder recorder(captured.states[0].device(), kKey, Recorder::Tape::kOff);
  if (!captured.update) return values_of(op_case.run(captured.states));
  Tensors operands;
  for (const Tensor& state : captured.states) operands.push_back(copy_of(state));
  for (int i = 0; i < updates; ++i) apply_update(captured.update->op, operands, captured.written(operands));
  return values_of(captured.written(operands));
}

void expect_same_bits(const std::vector<Values>& actual, const std::vector<Values>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t k = 0; k < expected.size(); ++k) {
    ASSERT_EQ(actual[k].size(), expected[k].size());
    for (std::size_t i = 0; i < expected[k].size(); ++i) {
      ASSERT_EQ(std::bit_cast<std::uint64_t>(actual[k][i]), std::bit_cast<std::uint64_t>(expected[k][i]))
          << "output " << k << ", element " << i << ": " << actual[k][i] << " and " << expected[k][i];
    }
  }
}

void check_replays(const OpRow& row, const OpCase& op_case, const Tensors& inputs) {
  const Captured captured(row, op_case, inputs);
  const std::vector<Values> expected = dynamic_values(captured, op_case, 3);
  Plan plan(*captured.graph, captured.states, {.poison = true});
  const Plan::OnResult ignore = [](std::size_t, const Tensor&) {};
  plan.run(kKey, {}, ignore);
  testing_support::start_counting();
  plan.run(kKey, {}, ignore);
  const Counts counts = testing_support::stop_counting();
  EXPECT_EQ(counts.own, 0U) << counts.who;
  EXPECT_EQ(counts.primitives, 0U);
  std::vector<Values> actual(captured.results);
  plan.run(kKey, {}, [&](std::size_t result, const Tensor& value) { actual[result] = as_doubles(value); });
  expect_same_bits(captured.update ? values_of(captured.written(captured.states)) : actual, expected);
}

class OpReplayTest : public testing::TestWithParam<OpRow> {};

TEST_P(OpReplayTest, AsksForNoMemoryAndHasTheSameBits) {
  for (const OpCase& op_case : GetParam().cases) {
    const std::vector<Values> values = draw_all(op_case.inputs);
    for (const DType dtype : dtypes_of(GetParam())) {
      for (const Placing placing : {Placing::kContiguous, Placing::kTransposed}) {
        if (placing != Placing::kContiguous && GetParam().update) continue;  // states of updates lie without gaps
        SCOPED_TRACE(op_case.what + " " + std::string(name_of(dtype)));
        CpuDevice device(placing == Placing::kContiguous ? 2 : 1);
        check_replays(GetParam(), op_case, place_all(device, op_case.inputs, values, dtype, placing));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, OpReplayTest, testing::ValuesIn(all_rows()),
                         [](const auto& row) { return row.param.op; });

}  // namespace

void PrintTo(const OpRow& row, std::ostream* out) { *out << row.op; }

}  // namespace convoy
