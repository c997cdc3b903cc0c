#include "core/ops/concat.h"

#include <cstring>
#include <numeric>
#include <vector>

#include "core/graph/apply.h"
#include "core/graph/registry.h"
#include "core/ops/elementwise.h"
#include "core/ops/kernel.h"
#include "core/ops/view.h"

namespace convoy {
namespace {

// How a whole and its pieces lie in memory: `outer` runs of the whole, each the pieces' runs one after the other.
class Pieces {
 public:
  Pieces(const Tensor& whole, std::span<const Tensor> pieces, int axis, int threads) : threads_(threads) {
    auto* const first = static_cast<std::byte*>(whole.raw());
    auto inner = static_cast<std::int64_t>(size_of(whole.dtype()));
    for (int i = 0; i < axis; ++i) outer_ *= whole.shape()[i];
    for (int i = axis + 1; i < whole.shape().rank(); ++i) inner *= whole.shape()[i];
    bytes_ = whole.shape()[axis] * inner;
    pieces_.reserve(pieces.size());
    std::int64_t begin = 0;
    for (const Tensor& piece : pieces) {
      const std::int64_t bytes = piece.shape()[axis] * inner;
      if (piece.elements() > 0) pieces_.push_back({first + begin, static_cast<std::byte*>(piece.raw()), bytes});
      begin += bytes;
    }
  }

  // Calls copy(bytes of the whole, bytes of the piece, how many) for all runs of all pieces.
  template <typename Copy>
  void for_each_run(const Copy& copy) const {
    for (const Piece& piece : pieces_) {
      parallel_for(threads_, outer_, row_grain(piece.bytes), [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t i = first; i < last; ++i)
          copy(piece.place + i * bytes_, piece.data + i * piece.bytes, static_cast<std::size_t>(piece.bytes));
      });
    }
  }

 private:
  struct Piece {
    std::byte *place, *data;  // its first run in the whole, and by itself
    std::int64_t bytes;       // of a run
  };
  int threads_;
  std::int64_t outer_ = 1, bytes_ = 0;  // runs of the whole, and how long they are
  std::vector<Piece> pieces_;
};

class Concat final : public Op {
 public:
  explicit Concat(int axis) : axis_(axis) {}
  std::string_view name() const override { return "concat"; }
  Traits traits() const override { return {.gradient_reads_inputs = 0, .gradient_reads_outputs = 0}; }
  void attributes(AttributeVisitor& visitor) const override { visitor.visit("axis", std::int64_t{axis_}); }
  Specs infer(std::span<const Spec> in) const override {
    if (in.empty()) fail(ErrorCode::kInvalidArgument, "concat: got no inputs; expected at least one");
    normal_axis(name(), axis_, in[0].shape);
    Spec whole = in[0];
    for (const Spec& piece : in.subspan(1)) {
      Spec expected = piece;
      if (piece.shape.rank() == whole.shape.rank()) expected.shape[axis_] = whole.shape[axis_];
      if (expected != whole)
        refuse(name(), in, fmt::format("one dtype and equal extents along all axes but axis {}", axis_));
      whole.shape[axis_] += piece.shape[axis_];
    }
    return {whole};
  }
  Tensors vjp(const VjpArgs& args) const override {
    std::vector<std::int64_t> extents;
    for (const Tensor& input : args.inputs) extents.push_back(input.shape()[axis_]);
    return split(args.gradients[0], axis_, extents);
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return prepared([pieces = Pieces(args.outputs[0], args.inputs, axis_, threads_of(args))] {
      pieces.for_each_run([](std::byte* all, const std::byte* part, std::size_t n) { std::memcpy(all, part, n); });
    });
  }

 private:
  int axis_;
};

class Split final : public Op {
 public:
  Split(int axis, std::vector<std::int64_t> extents) : axis_(axis), extents_(std::move(extents)) {}
  std::string_view name() const override { return "split"; }
  Traits traits() const override { return {.gradient_reads_inputs = 0, .gradient_reads_outputs = 0}; }
  void attributes(AttributeVisitor& visitor) const override {
    visitor.visit("axis", std::int64_t{axis_});
    visitor.visit("extents", std::span<const std::int64_t>(extents_));
  }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 1);
    normal_axis(name(), axis_, in[0].shape);
    const bool sound = !extents_.empty() && *std::min_element(extents_.begin(), extents_.end()) >= 0;
    if (!sound || std::accumulate(extents_.begin(), extents_.end(), std::int64_t{0}) != in[0].shape[axis_])
      refuse(name(), in, fmt::format("extents that add up to that of axis {}", axis_));
    Specs specs;
    for (const std::int64_t extent : extents_) {
      specs.push_back(in[0]);
      specs.back().shape[axis_] = extent;
    }
    return specs;
  }
  // Pieces that did not reach the loss have no gradient: then the others are padded and added.
  Tensors vjp(const VjpArgs& args) const override {
    const auto& gradients = args.gradients;
    if (std::all_of(gradients.begin(), gradients.end(), [](const Tensor& gradient) { return gradient.defined(); }))
      return {concat(gradients, axis_)};
    const std::int64_t extent = args.inputs[0].shape()[axis_];
    Tensor sum;
    std::int64_t begin = 0;
    for (std::size_t i = 0; i < extents_.size(); begin += extents_[i], ++i) {
      if (!gradients[i].defined()) continue;
      const Tensor padded = pad(gradients[i], axis_, begin, extent - begin - extents_[i]);
      sum = sum.defined() ? add(sum, padded) : padded;
    }
    return {sum};
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return prepared([pieces = Pieces(args.inputs[0], args.outputs, axis_, threads_of(args))] {
      pieces.for_each_run([](const std::byte* all, std::byte* part, std::size_t n) { std::memcpy(part, all, n); });
    });
  }

 private:
  int axis_;
  std::vector<std::int64_t> extents_;
};

const RegisterOp kRegistered[] = {RegisterOp("concat"), RegisterOp("split")};

}  // namespace

Tensor concat(std::span<const Tensor> inputs, int axis) {
  const int normal = inputs.empty() ? axis : normal_axis("concat", axis, inputs[0].shape());
  return apply_one(std::make_shared<Concat>(normal), inputs);
}

Tensors split(const Tensor& x, int axis, std::span<const std::int64_t> extents) {
  return convoy::apply(std::make_shared<Split>(normal_axis("split", axis, x.shape()),
                                               std::vector<std::int64_t>(extents.begin(), extents.end())),
                       std::span(&x, 1));
}

}  // namespace convoy
