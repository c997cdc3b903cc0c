#include "core/io/onnx/rules.h"

namespace convoy {
namespace {

using Name = OnnxBuilder::Name;

void write_reshape(OnnxBuilder& out, const OnnxSource& source) {
  const ValueId x = source.input(0), y = source.output();
  out.set(y, out.reshape(out.plain(x), source.shape(x), source.shape(y)));
}

void write_permute(OnnxBuilder& out, const OnnxSource& source) {
  const Name x = out.plain(source.input(0));
  std::vector<std::int64_t> axes = source.integers("axes");
  if (axes.empty()) return out.set(source.output(), x);  // a scalar
  out.set(source.output(), out.emit("Transpose", {x}, {{"perm", std::move(axes)}}));
}

void write_slice(OnnxBuilder& out, const OnnxSource& source) {
  const Name x = out.plain(source.input(0));
  const Name begin = out.extent(source.extent("begin")), end = out.extent(source.extent("end"));
  out.set(source.output(), out.emit("Slice", {x, begin, end, out.integers({source.integer("axis")})}));
}

void write_broadcast_to(OnnxBuilder& out, const OnnxSource& source) {
  const Name x = out.plain(source.input(0));
  out.set(source.output(), out.emit("Expand", {x, out.shape(source.shape(source.output()))}));
}

void write_pad(OnnxBuilder& out, const OnnxSource& source) {
  const ValueId x = source.input(0);
  const auto rank = static_cast<std::size_t>(source.rank(x));
  const auto axis = static_cast<std::size_t>(source.integer("axis"));
  OnnxExtents pads(2 * rank);
  pads[axis] = source.extent("before");
  pads[axis + rank] = source.extent("after");
  const Name from = out.plain(x);
  out.set(source.output(), out.emit("Pad", {from, out.shape(pads)}, {{"mode", "constant"}}));
}

void write_concat(OnnxBuilder& out, const OnnxSource& source) {
  std::vector<Name> pieces;
  for (std::size_t i = 0; i < source.inputs(); ++i) pieces.push_back(out.plain(source.input(i)));
  out.set(source.output(), out.emit("Concat", std::move(pieces), {{"axis", source.integer("axis")}}));
}

void write_split(OnnxBuilder& out, const OnnxSource& source) {
  const OnnxExtents extents = source.extents("extents");
  const Name x = out.plain(source.input(0));
  const auto pieces = out.emit("Split", {x, out.shape(extents)}, {{"axis", source.integer("axis")}}, extents.size());
  for (std::size_t i = 0; i < pieces.size(); ++i) out.set(source.output(i), pieces[i]);
}

constexpr OnnxRule kRules[] = {{"reshape", write_reshape}, {"permute", write_permute},
                               {"slice", write_slice},     {"broadcast_to", write_broadcast_to},
                               {"pad", write_pad},         {"concat", write_concat},
                               {"split", write_split}};

}  // namespace

std::span<const OnnxRule> onnx_view_rules() { return kRules; }

}  // namespace convoy
