// What the operator test knows of every operator: cases to run and inputs that must be refused. Each family keeps its
// rows in a file of its own; a registered operator without a row fails the suite.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/graph/op.h"
#include "core/tensor/tensor.h"

namespace convoy {

struct OpInput {
  Shape shape;
  double low = -1;
  double high = 1;
  bool integer = false;  // i32, between low and high inclusive; otherwise the floating type under test
  bool master = false;   // f32 where the type under test is bf16
};

inline OpInput real(const Shape& shape, double low = -1, double high = 1) { return {shape, low, high}; }
inline OpInput integers(const Shape& shape, std::int64_t low, std::int64_t high) {
  return {shape, static_cast<double>(low), static_cast<double>(high), true};
}
// A parameter, or a statistic, of bf16 activations.
inline OpInput master(const Shape& shape, double low = -1, double high = 1) { return {shape, low, high, false, true}; }

// Applies the operator through its family's function. Must not keep or write its inputs.
using OpRun = std::function<Tensors(std::span<const Tensor>)>;

struct OpCase {
  std::string what;
  std::vector<OpInput> inputs;
  OpRun run;
  std::vector<Shape> outputs;               // the expected shapes
  std::vector<std::size_t> differentiable;  // inputs whose gradients are checked
  double tolerance = 1e-5;                  // fp32 against fp64, relative to 1 + |value|
  bool numerical = true;                    // check gradients numerically; too slow for large cases
  // bf16 against fp64 from the same bf16 inputs: outputs relative to |value| (one rounding is 2⁻⁹) beside `tolerance`,
  // gradients, which may be rounded on their way, relative to 1 + |value|.
  double bf16_tolerance = 0x1p-8;
  double bf16_gradient_tolerance = 0x1p-6;
};

struct OpRefusal {
  std::string what;
  std::vector<OpInput> inputs;
  OpRun run;
};

// An update and its inputs, the state that it writes first.
struct OpUpdate {
  OpPtr op;
  Tensors inputs;
};

struct OpRow {
  std::string op;  // as registered
  std::vector<OpCase> cases;
  std::vector<OpRefusal> refusals;
  std::string refuses_nothing{};  // why, where there are no refusals
  // Updates leave nothing on the tape: what a case with these inputs applies.
  std::function<OpUpdate(std::span<const Tensor>)> update{};
  bool takes_bf16 = false;  // otherwise bf16 must be refused by name
};

std::vector<OpRow> elementwise_rows();
std::vector<OpRow> view_rows();
std::vector<OpRow> reduce_rows();
std::vector<OpRow> norm_rows();
std::vector<OpRow> softmax_rows();
std::vector<OpRow> index_rows();
std::vector<OpRow> random_rows();
std::vector<OpRow> update_rows();
std::vector<OpRow> matmul_rows();
std::vector<OpRow> attention_rows();
std::vector<OpRow> conv_rows();
std::vector<OpRow> batch_norm_rows();
std::vector<OpRow> pool_rows();
std::vector<OpRow> llama_rows();
std::vector<OpRow> arrange_rows();

std::vector<OpRow> all_rows();

// For rows: a contiguous tensor of its own with x's elements.
Tensor copy_of(const Tensor& x);

}  // namespace convoy
