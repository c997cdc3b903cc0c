#include "core/io/onnx/rules.h"

namespace convoy {
namespace {

using Name = OnnxBuilder::Name;

// Ahead of each axis in turn, then behind each.
std::vector<std::int64_t> both_sides(const std::vector<std::int64_t>& padding) {
  return {padding[0], padding[1], padding[0], padding[1]};
}

void write_conv2d(OnnxBuilder& out, const OnnxSource& source) {
  std::vector<Name> inputs{out.channels_first(source.input(0))};
  for (std::size_t i = 1; i < source.inputs(); ++i) inputs.push_back(out.plain(source.input(i)));
  const ValueId weight = source.input(1);
  out.set_channels_first(
      source.output(),
      out.emit("Conv", std::move(inputs),
               {{"kernel_shape", std::vector<std::int64_t>{source.largest(weight, 2), source.largest(weight, 3)}},
                {"strides", source.integers("stride")},
                {"pads", both_sides(source.integers("padding"))},
                {"dilations", source.integers("dilation")},
                {"group", source.integer("groups")}}));
}

std::vector<OnnxAttribute> window(const OnnxSource& source) {
  return {{"kernel_shape", source.integers("kernel")},
          {"strides", source.integers("stride")},
          {"pads", both_sides(source.integers("padding"))}};
}

void write_max_pool2d(OnnxBuilder& out, const OnnxSource& source) {
  out.set_channels_first(source.output(), out.emit("MaxPool", {out.channels_first(source.input(0))}, window(source)));
}

void write_avg_pool2d(OnnxBuilder& out, const OnnxSource& source) {
  std::vector<OnnxAttribute> attributes = window(source);
  attributes.push_back({"count_include_pad", std::int64_t{1}});
  out.set_channels_first(source.output(),
                         out.emit("AveragePool", {out.channels_first(source.input(0))}, std::move(attributes)));
}

constexpr OnnxRule kRules[] = {
    {"conv2d", write_conv2d}, {"max_pool2d", write_max_pool2d}, {"avg_pool2d", write_avg_pool2d}};

}  // namespace

std::span<const OnnxRule> onnx_image_rules() { return kRules; }

}  // namespace convoy
