#include <cmath>
#include <optional>
#include <string_view>
#include <vector>

#include "core/graph/passes/passes.h"
#include "core/graph/passes/rewriter.h"
#include "core/graph/passes/uniform.h"

namespace convoy {
namespace {

class FindDouble final : public AttributeVisitor {
 public:
  void visit(std::string_view, std::int64_t) override {}
  void visit(std::string_view, double found) override { value = found; }
  void visit(std::string_view, std::string_view) override {}
  void visit(std::string_view, std::span<const std::int64_t>) override {}
  std::optional<double> value;
};

std::optional<double> parameter_of(const Op& op) {
  FindDouble find;
  op.attributes(find);
  return find.value;
}

// Whether every value of `from` is one of `to`, so that going there and back changes nothing. (It may set the quiet
// bit of a NaN, which no kernel leaves clear.)
bool holds(DType to, DType from) {
  if (to == from || to == DType::kF64) return to == from || from != DType::kI64;
  return (to == DType::kF32 && from == DType::kBF16) || (to == DType::kI64 && from == DType::kI32);
}

class Identities {
 public:
  explicit Identities(const Graph& graph) : graph_(graph), uniform_(uniform_values(graph)), rewriter_(graph) {}

  Graph run() {
    for (std::size_t i = 0; i < graph_.nodes().size(); ++i) {
      const Node& node = graph_.nodes()[i];
      if (node.op->name() == "cast") {
        cast(static_cast<NodeId>(i));
      } else if (const std::optional<ValueId> same = operand_that_is(node)) {
        rewriter_.replace(node.outputs[0], *same);
      } else {
        rewriter_.copy(static_cast<NodeId>(i));
      }
    }
    return rewriter_.finish();
  }

 private:
  const Spec& spec(ValueId old) const { return graph_.value(old).spec; }
  bool is(ValueId old, double value) const {
    const auto& known = uniform_[static_cast<std::size_t>(old)];
    return known && known->to_double() == value && std::signbit(known->to_double()) == std::signbit(value);
  }

  // The new value of the operand that the node's output equals.
  std::optional<ValueId> operand_that_is(const Node& node) const {
    const std::string_view name = node.op->name();
    if (name == "scale" && parameter_of(*node.op) == 1.0) return rewriter_.now(node.inputs[0]);
    if (name == "neg") {
      const Value& negated = rewriter_.graph().value(rewriter_.now(node.inputs[0]));
      if (negated.node < 0) return std::nullopt;
      const Node& maker = rewriter_.graph().node(negated.node);
      if (maker.op->name() == "neg" && maker.phase == node.phase) return maker.inputs[0];
    }
    // Nothing is added, as where a slice of the whole has its gradient.
    if (name == "pad" && spec(node.inputs[0]) == spec(node.outputs[0])) return rewriter_.now(node.inputs[0]);
    if (node.inputs.size() != 2) return std::nullopt;
    const ValueId a = node.inputs[0], b = node.inputs[1];
    // Broadcasting is no identity.
    const bool keeps_a = spec(a) == spec(node.outputs[0]), keeps_b = spec(b) == spec(node.outputs[0]);
    const bool unchanged_a = ((name == "mul" || name == "div") && is(b, 1.0)) || (name == "sub" && is(b, 0.0)) ||
                             (name == "add" && is(b, -0.0));
    const bool unchanged_b = (name == "mul" && is(a, 1.0)) || (name == "add" && is(a, -0.0));
    if (unchanged_a && keeps_a) return rewriter_.now(a);
    if (unchanged_b && keeps_b) return rewriter_.now(b);
    return std::nullopt;
  }

  // A cast of an exact cast is a cast of what that one was given; none at all if that had the dtype before.
  void cast(NodeId id) {
    const Node& node = graph_.node(id);
    const Graph& now = rewriter_.graph();
    ValueId from = rewriter_.now(node.inputs[0]);
    while (now.value(from).node >= 0) {
      const Node& maker = now.node(now.value(from).node);
      if (maker.op->name() != "cast" || maker.phase != node.phase) break;
      if (!holds(now.value(from).spec.dtype, now.value(maker.inputs[0]).spec.dtype)) break;
      from = maker.inputs[0];
    }
    const ValueId output = node.outputs[0];
    rewriter_.replace(
        output, now.value(from).spec.dtype == spec(output).dtype ? from : rewriter_.append_one(node.op, node, {from}));
  }

  const Graph& graph_;
  const std::vector<std::optional<Uniform>> uniform_;
  Rewriter rewriter_;
};

}  // namespace

Graph remove_identities(const Graph& graph) { return Identities(graph).run(); }

}  // namespace convoy
