#include "core/io/onnx/rules.h"

namespace convoy {
namespace {

using Name = OnnxBuilder::Name;

// The last two axes exchanged.
Name transposed(OnnxBuilder& out, const Name& x, int rank) {
  std::vector<std::int64_t> axes;
  for (int i = 0; i < rank; ++i) axes.push_back(i);
  std::swap(axes[axes.size() - 1], axes[axes.size() - 2]);
  return out.emit("Transpose", {x}, {{"perm", axes}});
}

// Gemm multiplies matrices alone, but transposes as it reads: a weight such as a tied head is not copied for it.
void write_matmul(OnnxBuilder& out, const OnnxSource& source) {
  const ValueId a = source.input(0), b = source.input(1), y = source.output();
  const std::int64_t transpose_a = source.integer("transpose_a"), transpose_b = source.integer("transpose_b");
  Name left = out.plain(a), right = out.plain(b);
  if (source.rank(b) == 2 && (transpose_a != 0 || transpose_b != 0)) {
    const bool folds = source.rank(a) > 2;
    if (folds) left = out.emit("Reshape", {left, out.integers({-1, source.largest(a, -1)})});
    Name product = out.emit("Gemm", {left, right}, {{"transA", transpose_a}, {"transB", transpose_b}});
    out.set(y, folds ? out.emit("Reshape", {product, out.shape(source.shape(y))}) : product);
    return;
  }
  if (transpose_a != 0) left = transposed(out, left, source.rank(a));
  if (transpose_b != 0) right = transposed(out, right, source.rank(b));
  out.set(y, out.emit("MatMul", {left, right}));
}

void write_linear(OnnxBuilder& out, const OnnxSource& source) {
  const ValueId x = source.input(0);
  std::vector<Name> operands{out.plain(x), out.plain(source.input(1))};
  const bool biased = source.inputs() == 3;
  Name sum;
  if (source.rank(x) == 2) {
    if (biased) operands.push_back(out.plain(source.input(2)));
    sum = out.emit("Gemm", std::move(operands));
  } else {
    sum = out.emit("MatMul", std::move(operands));
    if (biased) sum = out.emit("Add", {sum, out.plain(source.input(2))});
  }
  const std::string& activation = source.text("activation");
  if (activation == "none") {
    out.set(source.output(), sum);
  } else if (activation == "relu") {
    out.set(source.output(), out.emit("Relu", {sum}));
  } else if (activation == "gelu") {
    out.set(source.output(0), onnx_gelu(out, sum, source.dtype(x)));
    out.set(source.output(1), sum);
  } else {
    source.refuse("activation none, relu or gelu");
  }
}

constexpr OnnxRule kRules[] = {{"matmul", write_matmul}, {"linear", write_linear}};

}  // namespace

std::span<const OnnxRule> onnx_matrix_rules() { return kRules; }

}  // namespace convoy
