#include <algorithm>

#include "core/io/onnx/rules.h"

namespace convoy {
namespace {

using Name = OnnxBuilder::Name;

// The sum over a picture's pixels is taken in the form in which the picture is there.
void write_sum(OnnxBuilder& out, const OnnxSource& source) {
  const ValueId x = source.input(0), y = source.output();
  std::vector<std::int64_t> axes = source.integers("axes");
  std::sort(axes.begin(), axes.end());
  const std::vector<OnnxAttribute> attributes{{"keepdims", source.integer("keep")}};
  if (out.is_channels_first(x) && axes == std::vector<std::int64_t>{1, 2}) {
    const Name sums = out.emit("ReduceSum", {out.channels_first(x), out.integers({2, 3})}, attributes);
    source.flag("keep") ? out.set_channels_first(y, sums) : out.set(y, sums);
    return;
  }
  const Name from = out.plain(x);
  out.set(y, out.emit("ReduceSum", {from, out.integers(axes)}, attributes));
}

void write_max(OnnxBuilder& out, const OnnxSource& source) {
  out.set(source.output(), out.emit("ReduceMax", {out.plain(source.input(0))},
                                    {{"axes", std::vector<std::int64_t>{source.integer("axis")}},
                                     {"keepdims", source.integer("keep")}}));
}

void write_softmax(OnnxBuilder& out, const OnnxSource& source) {
  out.set(source.output(), out.emit("Softmax", {out.plain(source.input(0))}, {{"axis", std::int64_t{-1}}}));
}

void write_cumsum(OnnxBuilder& out, const OnnxSource& source) {
  const Name x = out.plain(source.input(0));
  out.set(source.output(),
          out.emit("CumSum", {x, out.integers({source.integer("axis")})},
                   {{"exclusive", source.integer("exclusive")}, {"reverse", source.integer("reverse")}}));
}

void write_top_k(OnnxBuilder& out, const OnnxSource& source) {
  const Name x = out.plain(source.input(0));
  const auto both =
      out.emit("TopK", {x, out.extent(source.extent("k"))},
               {{"axis", std::int64_t{-1}}, {"largest", std::int64_t{1}}, {"sorted", std::int64_t{1}}}, 2);
  out.set(source.output(0), both[0]);
  out.set(source.output(1), both[1]);
}

constexpr OnnxRule kRules[] = {{"sum", write_sum},
                               {"max", write_max},
                               {"softmax", write_softmax},
                               {"cumsum", write_cumsum},
                               {"top_k", write_top_k}};

}  // namespace

std::span<const OnnxRule> onnx_reduce_rules() { return kRules; }

}  // namespace convoy
