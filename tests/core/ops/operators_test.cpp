// One test for every operator, driven by the table of op_table.h.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <set>

#include "core/base/error.h"
#include "core/device/cpu_device.h"
#include "core/graph/apply.h"
#include "core/graph/backward.h"
#include "core/graph/recorder.h"
#include "core/graph/registry.h"
#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "tests/core/ops/native_bf16.h"
#include "tests/core/ops/op_inputs.h"
#include "tests/core/ops/op_table.h"

namespace convoy {
namespace {

struct Result {
  std::vector<Values> outputs;
  std::map<std::size_t, Values> gradients;  // by input
};

constexpr StepKey kKey{.seed = 11, .step = 3, .shard = 2};

// A random weight for each element of output k: the loss is the weighted sum of all outputs. bf16 holds them exactly.
Values weights(const Tensor& output, std::size_t k) {
  return draw<bfloat16>(real(output.shape()), 100 + static_cast<std::uint32_t>(k));
}

Tensor loss_of(const Tensors& outputs) {
  Tensor loss;
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    if (!is_floating(outputs[k].dtype())) continue;
    const Tensor wide = outputs[k].dtype() == DType::kF64 ? outputs[k] : cast(outputs[k], DType::kF64);
    const Tensor weight = place(wide.device(), DType::kF64, wide.shape(), weights(wide, k), Placing::kContiguous);
    const Tensor term = sum(mul(wide, weight));
    loss = loss.defined() ? add(loss, term) : term;
  }
  return loss;
}

// Runs a case and, for the inputs it names, the backward pass.
Result run_case(const OpCase& op_case, const Tensors& inputs) {
  Recorder recorder(inputs[0].device(), kKey);
  const Tensors outputs = op_case.run(inputs);
  Result result;
  for (const Tensor& output : outputs) result.outputs.push_back(as_doubles(output));
  if (op_case.differentiable.empty()) return result;
  Tensors parameters;
  for (const std::size_t i : op_case.differentiable) {
    parameters.push_back(inputs[i]);
    result.gradients[i] = Values(static_cast<std::size_t>(inputs[i].elements()), 0.0);
  }
  backward(loss_of(outputs), parameters, [&](std::size_t parameter, const Tensor& gradient) {
    EXPECT_EQ(gradient.spec(), parameters[parameter].spec());
    result.gradients[op_case.differentiable[parameter]] = as_doubles(gradient);
  });
  return result;
}

double weighted_sum(const OpCase& op_case, const Tensors& inputs) {
  const Recorder recorder(inputs[0].device(), kKey, Recorder::Tape::kOff);
  const Tensors outputs = op_case.run(inputs);
  double total = 0;
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    if (!is_floating(outputs[k].dtype())) continue;
    const Values weight = weights(outputs[k], k);
    const Values values = as_doubles(outputs[k]);
    for (std::size_t i = 0; i < values.size(); ++i) total += weight[i] * values[i];
  }
  return total;
}

void expect_close(const Values& actual, const Values& expected, double tolerance, const std::string& what) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  for (std::size_t i = 0; i < actual.size(); ++i)
    ASSERT_NEAR(actual[i], expected[i], tolerance * (1 + std::abs(expected[i]))) << what << ", element " << i;
}

void expect_same_bits(const Result& actual, const Result& expected, const std::string& what) {
  const auto compare = [&](const Values& a, const Values& b, const std::string& which) {
    ASSERT_EQ(a.size(), b.size()) << what << ", " << which;
    for (std::size_t i = 0; i < a.size(); ++i)
      ASSERT_EQ(std::bit_cast<std::uint64_t>(a[i]), std::bit_cast<std::uint64_t>(b[i]))
          << what << ", " << which << ", element " << i << ": " << a[i] << " and " << b[i];
  };
  for (std::size_t k = 0; k < expected.outputs.size(); ++k)
    compare(actual.outputs[k], expected.outputs[k], "output " + std::to_string(k));
  for (const auto& [input, gradient] : expected.gradients)
    compare(actual.gradients.at(input), gradient, "gradient of input " + std::to_string(input));
}

class OperatorTest : public testing::TestWithParam<OpRow> {
 protected:
  // The last application of the row's operator; null for an update.
  static const TapeNode* find_node(const Recorder& recorder) {
    const TapeNode* node = nullptr;
    for (const TapeNode& candidate : recorder.tape()) {
      if (candidate.op->name() == GetParam().op) node = &candidate;
    }
    return node;
  }

  CpuDevice device_{1};
  CpuDevice two_threads_{2};
};

TEST_P(OperatorTest, InfersWhatItMakes) {
  for (const OpCase& op_case : GetParam().cases) {
    SCOPED_TRACE(op_case.what);
    const Tensors inputs = place_all(device_, op_case.inputs, draw_all(op_case.inputs), DType::kF32);
    Recorder recorder(device_, kKey);
    const Tensors outputs = op_case.run(inputs);
    ASSERT_EQ(outputs.size(), op_case.outputs.size());
    for (std::size_t k = 0; k < outputs.size(); ++k)
      EXPECT_EQ(outputs[k].shape(), op_case.outputs[k]) << "output " << k;
    if (GetParam().update) {
      const OpUpdate update = GetParam().update(inputs);
      EXPECT_EQ(update.op->infer(specs_of(update.inputs)), specs_of(outputs));
      continue;
    }
    for (const TapeNode& node : recorder.tape())
      EXPECT_EQ(node.op->infer(specs_of(node.inputs)), specs_of(node.outputs));
    EXPECT_NE(find_node(recorder), nullptr) << "the case does not apply " << GetParam().op;
  }
}

TEST_P(OperatorTest, GradientsMatchCentralDifferences) {
  for (const OpCase& op_case : GetParam().cases) {
    if (!op_case.numerical || op_case.differentiable.empty()) continue;
    SCOPED_TRACE(op_case.what);
    std::vector<Values> values = draw_all(op_case.inputs);
    const Result result = run_case(op_case, place_all(device_, op_case.inputs, values, DType::kF64));
    for (const auto& [input, gradient] : result.gradients) {
      Values numerical;
      for (double& value : values[input]) {
        constexpr double kStep = 1e-5;
        const double before = value;
        value = before + kStep;
        const double up = weighted_sum(op_case, place_all(device_, op_case.inputs, values, DType::kF64));
        value = before - kStep;
        const double down = weighted_sum(op_case, place_all(device_, op_case.inputs, values, DType::kF64));
        value = before;
        numerical.push_back((up - down) / (2 * kStep));
      }
      expect_close(gradient, numerical, 1e-7, "gradient of input " + std::to_string(input));
    }
  }
}

TEST_P(OperatorTest, WhatIsDifferentiableIsCheckedNumerically) {
  bool differentiable = false;
  bool checked = false;
  for (const OpCase& op_case : GetParam().cases) {
    Recorder recorder(device_, kKey);
    op_case.run(place_all(device_, op_case.inputs, draw_all(op_case.inputs), DType::kF32));
    const TapeNode* node = find_node(recorder);
    differentiable = differentiable || (node != nullptr && node->op->traits().differentiable);
    const bool elements =
        !op_case.differentiable.empty() && op_case.inputs[op_case.differentiable.front()].shape.elements() > 0;
    checked = checked || (op_case.numerical && elements);
  }
  EXPECT_EQ(checked, differentiable);
}

TEST_P(OperatorTest, SinglePrecisionFollowsDouble) {
  for (const OpCase& op_case : GetParam().cases) {
    SCOPED_TRACE(op_case.what);
    const std::vector<Values> values = draw_all(op_case.inputs);
    const Result single = run_case(op_case, place_all(device_, op_case.inputs, values, DType::kF32));
    const Result wide = run_case(op_case, place_all(device_, op_case.inputs, values, DType::kF64));
    for (std::size_t k = 0; k < wide.outputs.size(); ++k)
      expect_close(single.outputs[k], wide.outputs[k], op_case.tolerance, "output " + std::to_string(k));
    for (const auto& [input, gradient] : wide.gradients)
      expect_close(single.gradients.at(input), gradient, op_case.tolerance, "gradient " + std::to_string(input));
  }
}

bool has_bf16(const OpCase& op_case) {
  return std::any_of(op_case.inputs.begin(), op_case.inputs.end(),
                     [](const OpInput& input) { return !input.integer && !input.master; });
}

// Outputs and gradients from bf16 inputs, against fp64 from the same.
void expect_rounded_once(const OpCase& op_case, const std::vector<Values>& values, Device& device, const Result& wide) {
  const Result half = run_case(op_case, place_all(device, op_case.inputs, values, DType::kBF16));
  for (std::size_t k = 0; k < wide.outputs.size(); ++k) {
    ASSERT_EQ(half.outputs[k].size(), wide.outputs[k].size());
    for (std::size_t i = 0; i < wide.outputs[k].size(); ++i) {
      const double exact = wide.outputs[k][i];
      ASSERT_NEAR(half.outputs[k][i], exact, op_case.bf16_tolerance * std::abs(exact) + op_case.tolerance)
          << "output " << k << ", element " << i;
    }
  }
  for (const auto& [input, gradient] : wide.gradients)
    expect_close(half.gradients.at(input), gradient, op_case.bf16_gradient_tolerance,
                 "gradient " + std::to_string(input));
}

TEST_P(OperatorTest, HalfPrecisionRoundsOnceOrIsRefused) {
  for (const OpCase& op_case : GetParam().cases) {
    if (!has_bf16(op_case)) continue;
    SCOPED_TRACE(op_case.what);
    const std::vector<Values> values = draw_all<bfloat16>(op_case.inputs);
    if (!GetParam().takes_bf16) {
      const Tensors inputs = place_all(device_, op_case.inputs, values, DType::kBF16);
      const Recorder recorder(device_, kKey);
      try {
        op_case.run(inputs);
        ADD_FAILURE() << "bf16 is not refused";
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << error.what();
      }
      continue;
    }
    const Result wide = run_case(op_case, place_all(device_, op_case.inputs, values, DType::kF64));
    for (const bool native : {false, true}) {
      if (native && !has_native_bf16()) continue;
      SCOPED_TRACE(native ? "native" : "widened");
      CpuDevice device(1);
      device.set_native_bf16(native);
      expect_rounded_once(op_case, values, device, wide);
    }
  }
}

TEST_P(OperatorTest, BitsDependOnNeitherLayoutNorThreads) {
  for (const OpCase& op_case : GetParam().cases) {
    const std::vector<Values> values = draw_all(op_case.inputs);
    for (const DType dtype : dtypes_of(GetParam())) {
      SCOPED_TRACE(op_case.what + " " + std::string(name_of(dtype)));
      const Result plain = run_case(op_case, place_all(device_, op_case.inputs, values, dtype));
      const auto check = [&](Device& device, Placing placing, const std::string& what) {
        expect_same_bits(run_case(op_case, place_all(device, op_case.inputs, values, dtype, placing)), plain, what);
      };
      check(two_threads_, Placing::kContiguous, "two threads");
      check(device_, Placing::kUnaligned, "unaligned");
      check(device_, Placing::kGaps, "with gaps");
      check(two_threads_, Placing::kTransposed, "transposed");
    }
  }
}

TEST_P(OperatorTest, RefusesWrongInputsByName) {
  for (const OpRefusal& refusal : GetParam().refusals) {
    SCOPED_TRACE(refusal.what);
    const Tensors inputs = place_all(device_, refusal.inputs, draw_all(refusal.inputs), DType::kF32);
    const Recorder recorder(device_, kKey);
    try {
      refusal.run(inputs);
      ADD_FAILURE() << "not refused";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << error.what();
      EXPECT_NE(std::string(error.what()).find(GetParam().op), std::string::npos) << error.what();
    }
  }
}

TEST_P(OperatorTest, SaysSoWhereThereIsNoGradient) {
  for (const OpCase& op_case : GetParam().cases) {
    SCOPED_TRACE(op_case.what);
    const Tensors inputs = place_all(device_, op_case.inputs, draw_all(op_case.inputs), DType::kF32);
    Recorder recorder(device_, kKey);
    const Tensors outputs = op_case.run(inputs);
    const TapeNode* node = find_node(recorder);
    if (node == nullptr || node->op->traits().differentiable) continue;
    EXPECT_TRUE(op_case.differentiable.empty());
    const std::vector<bool> needed(node->inputs.size(), true);
    try {
      node->op->vjp({node->inputs, node->outputs, node->outputs, needed});
      ADD_FAILURE() << "a gradient of an operator that says it has none";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      EXPECT_NE(std::string(error.what()).find(GetParam().op), std::string::npos) << error.what();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, OperatorTest, testing::ValuesIn(all_rows()),
                         [](const auto& row) { return row.param.op; });

TEST(OperatorTableTest, HasOneRowForEveryRegisteredOperator) {
  std::set<std::string> rows;
  for (const OpRow& row : all_rows()) {
    EXPECT_TRUE(rows.insert(row.op).second) << row.op << " has two rows";
    EXPECT_FALSE(row.cases.empty()) << row.op << " has no cases";
    EXPECT_EQ(row.refusals.empty(), !row.refuses_nothing.empty()) << row.op << " needs refusals, or why it has none";
  }
  const std::vector<std::string> ops = registered_ops();
  for (const std::string& op : ops) EXPECT_TRUE(rows.contains(op)) << op << " has no row";
  EXPECT_EQ(rows.size(), ops.size());
}

}  // namespace

void PrintTo(const OpRow& row, std::ostream* out) { *out << row.op; }

}  // namespace convoy
