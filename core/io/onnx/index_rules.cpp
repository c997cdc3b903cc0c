#include "core/io/onnx/rules.h"

namespace convoy {
namespace {

using Name = OnnxBuilder::Name;

void write_embedding(OnnxBuilder& out, const OnnxSource& source) {
  const Name table = out.plain(source.input(0)), ids = out.plain(source.input(1));
  out.set(source.output(), out.emit("Gather", {table, ids}, {{"axis", std::int64_t{0}}}));
}

void write_gather(OnnxBuilder& out, const OnnxSource& source) {
  const Name x = out.plain(source.input(0)), index = out.plain(source.input(1));
  out.set(source.output(), out.emit("GatherElements", {x, index}, {{"axis", source.integer("axis")}}));
}

void write_scatter_add(OnnxBuilder& out, const OnnxSource& source) {
  const ValueId y = source.output();
  const Name index = out.plain(source.input(0)), values = out.plain(source.input(1));
  const Name zeros = out.emit("Expand", {out.scalar(0.0, source.dtype(y)), out.shape(source.shape(y))});
  out.set(
      y, out.emit("ScatterElements", {zeros, index, values}, {{"axis", source.integer("axis")}, {"reduction", "add"}}));
}

constexpr OnnxRule kRules[] = {
    {"embedding", write_embedding}, {"gather", write_gather}, {"scatter_add", write_scatter_add}};

}  // namespace

std::span<const OnnxRule> onnx_index_rules() { return kRules; }

}  // namespace convoy
