#include "core/io/onnx/sized_graph.h"

#include <fmt/format.h>

#include <utility>

#include "core/base/error.h"

namespace convoy {
namespace {

// An op's attributes as they are.
using Observed = std::variant<std::int64_t, double, std::string, std::vector<std::int64_t>>;

class Collector final : public AttributeVisitor {
 public:
  void visit(std::string_view name, std::int64_t value) override { all.emplace(name, value); }
  void visit(std::string_view name, double value) override { all.emplace(name, value); }
  void visit(std::string_view name, std::string_view value) override { all.emplace(name, std::string(value)); }
  void visit(std::string_view name, std::span<const std::int64_t> value) override {
    all.emplace(name, std::vector<std::int64_t>(value.begin(), value.end()));
  }

  std::map<std::string, Observed> all;
};

std::map<std::string, Observed> attributes_of(const Op& op) {
  Collector collector;
  op.attributes(collector);
  return std::move(collector.all);
}

bool is_same_structure(const Graph& a, const Graph& b) {
  if (a.nodes().size() != b.nodes().size() || a.values().size() != b.values().size() ||
      a.results().size() != b.results().size())
    return false;
  for (std::size_t i = 0; i < a.nodes().size(); ++i) {
    if (a.nodes()[i].op->name() != b.nodes()[i].op->name() || a.nodes()[i].inputs != b.nodes()[i].inputs) return false;
  }
  for (std::size_t i = 0; i < a.values().size(); ++i) {
    const Spec& left = a.values()[i].spec;
    const Spec& right = b.values()[i].spec;
    if (left.dtype != right.dtype || left.shape.rank() != right.shape.rank()) return false;
  }
  for (std::size_t i = 0; i < a.results().size(); ++i) {
    if (a.results()[i].value != b.results()[i].value) return false;
  }
  return true;
}

}  // namespace

SizedGraph::SizedGraph(std::vector<OpenSize> sizes, const CaptureAt& capture) : sizes_(std::move(sizes)) {
  capture_all(capture);
  check_structure();
  solve_shapes();
  solve_attributes();
}

// One capture to start from, one for each size that differs from it in that size alone, and one to prove what follows.
void SizedGraph::capture_all(const CaptureAt& capture) {
  const auto row = [this](auto which) {
    std::vector<std::int64_t> sizes;
    for (std::size_t i = 0; i < sizes_.size(); ++i) sizes.push_back(sizes_[i].samples[which(i)]);
    return sizes;
  };
  samples_.push_back(row([](std::size_t) { return 0; }));
  for (std::size_t size = 0; size < sizes_.size(); ++size)
    samples_.push_back(row([size](std::size_t i) { return i == size ? 1 : 0; }));
  if (!sizes_.empty()) samples_.push_back(row([](std::size_t) { return 2; }));
  for (const std::vector<std::int64_t>& sample : samples_) graphs_.push_back(capture(sample));
}

void SizedGraph::check_structure() const {
  for (const Graph& other : graphs_) {
    if (!is_same_structure(graph(), other))
      fail(ErrorCode::kUsage, "export: which operators the model applies depends on {}; expected the same ones at any",
           size_names());
  }
}

void SizedGraph::solve_shapes() {
  for (std::size_t value = 0; value < graph().values().size(); ++value) {
    OnnxExtents& shape = shapes_.emplace_back();
    for (int axis = 0; axis < graph().values()[value].spec.shape.rank(); ++axis) {
      std::vector<std::int64_t> observed;
      for (const Graph& sample : graphs_) observed.push_back(sample.values()[value].spec.shape[axis]);
      const std::optional<OnnxExtent> extent = solve(observed);
      if (!extent) {
        const Value& of = graph().values()[value];
        fail(ErrorCode::kUsage, "export: {}: axis {} of {} does not grow in proportion to {}",
             of.node < 0 ? of.name : describe(*graph().node(of.node).op), axis, of.spec.to_string(), size_names());
      }
      shape.push_back(*extent);
    }
  }
}

void SizedGraph::solve_attributes() {
  for (std::size_t node = 0; node < graph().nodes().size(); ++node) {
    std::vector<std::map<std::string, Observed>> observed;
    for (const Graph& sample : graphs_) observed.push_back(attributes_of(*sample.nodes()[node].op));
    std::map<std::string, SizedAttribute>& solved = attributes_.emplace_back();
    for (const auto& [name, first] : observed.front()) {
      const auto refuse = [&, of = std::string_view(name)]() {
        fail(ErrorCode::kUsage, "export: {}: {} depends on {} in a way that no ONNX node has",
             describe(*graph().nodes()[node].op), of, size_names());
      };
      const auto solve_one = [&](const auto& of_sample) {
        std::vector<std::int64_t> values;
        for (const auto& sample : observed) values.push_back(of_sample(sample.at(name)));
        const std::optional<OnnxExtent> extent = solve(values);
        if (!extent) refuse();
        return *extent;
      };
      if (std::holds_alternative<std::int64_t>(first)) {
        solved[name] = solve_one([](const Observed& value) { return std::get<std::int64_t>(value); });
      } else if (const auto* const list = std::get_if<std::vector<std::int64_t>>(&first)) {
        OnnxExtents extents;
        for (const auto& sample : observed) {
          if (std::get<std::vector<std::int64_t>>(sample.at(name)).size() != list->size()) refuse();
        }
        for (std::size_t i = 0; i < list->size(); ++i)
          extents.push_back(
              solve_one([i](const Observed& value) { return std::get<std::vector<std::int64_t>>(value)[i]; }));
        solved[name] = std::move(extents);
      } else {
        for (const auto& sample : observed) {
          if (sample.at(name) != first) refuse();
        }
        if (const auto* const real = std::get_if<double>(&first)) solved[name] = *real;
        if (const auto* const text = std::get_if<std::string>(&first)) solved[name] = *text;
      }
    }
  }
}

std::optional<OnnxExtent> SizedGraph::solve(std::span<const std::int64_t> observed) const {
  OnnxExtent extent;
  std::int64_t product = 1;
  for (std::size_t i = 0; i < sizes_.size(); ++i) {
    if (observed[1 + i] == observed[0]) continue;
    extent.sizes |= 1U << i;
    product *= samples_[0][i];
  }
  if (observed[0] % product != 0) return std::nullopt;
  extent.factor = observed[0] / product;
  for (std::size_t capture = 0; capture < observed.size(); ++capture) {
    if (extent_at(extent, capture) != observed[capture]) return std::nullopt;
  }
  return extent;
}

std::int64_t SizedGraph::extent_at(const OnnxExtent& extent, std::size_t capture) const {
  std::int64_t value = extent.factor;
  for (std::size_t i = 0; i < sizes_.size(); ++i) {
    if ((extent.sizes >> i & 1U) != 0) value *= samples_[capture][i];
  }
  return value;
}

std::string SizedGraph::size_names() const {
  std::string names;
  for (const OpenSize& size : sizes_) names += (names.empty() ? "" : ", ") + size.name;
  return names;
}

}  // namespace convoy
