#include "core/io/onnx/rules.h"

namespace convoy {
namespace {

using Name = OnnxBuilder::Name;

void write_layer_norm(OnnxBuilder& out, const OnnxSource& source) {
  std::vector<Name> inputs{out.plain(source.input(0)), out.plain(source.input(1)), out.plain(source.input(2))};
  out.set(source.output(), out.emit("LayerNormalization", std::move(inputs),
                                    {{"axis", std::int64_t{-1}}, {"epsilon", source.real("epsilon")}}));
}

// x / sqrt(mean of x² + epsilon) · gamma.
void write_rms_norm(OnnxBuilder& out, const OnnxSource& source) {
  const Name x = out.plain(source.input(0)), gamma = out.plain(source.input(1));
  const Name epsilon = out.scalar(source.real("epsilon"), source.dtype(source.input(0)));
  const Name mean = out.emit("ReduceMean", {out.emit("Mul", {x, x})},
                             {{"axes", std::vector<std::int64_t>{-1}}, {"keepdims", std::int64_t{1}}});
  const Name root = out.emit("Sqrt", {out.emit("Add", {mean, epsilon})});
  out.set(source.output(), out.emit("Mul", {out.emit("Div", {x, root}), gamma}));
}

// BatchNormalization wants the channels at axis 1: where they are not, and x is no picture, its parts are written out.
Name normalised(OnnxBuilder& out, const OnnxSource& source, const Name& x, bool channels_at_1) {
  const Name weight = out.plain(source.input(1)), bias = out.plain(source.input(2));
  const Name mean = out.plain(source.input(3)), variance = out.plain(source.input(4));
  if (channels_at_1)
    return out.emit("BatchNormalization", {x, weight, bias, mean, variance}, {{"epsilon", source.real("epsilon")}});
  const Name epsilon = out.scalar(source.real("epsilon"), source.dtype(source.input(0)));
  const Name deviation = out.emit("Sqrt", {out.emit("Add", {variance, epsilon})});
  const Name scale = out.emit("Div", {weight, deviation});
  return out.emit("Add", {out.emit("Mul", {out.emit("Sub", {x, mean}), scale}), bias});
}

void write_batch_norm_inference(OnnxBuilder& out, const OnnxSource& source) {
  const ValueId x = source.input(0), y = source.output();
  const bool is_picture = source.rank(x) == 4;
  const auto in = [&](ValueId value) { return is_picture ? out.channels_first(value) : out.plain(value); };
  Name sum = normalised(out, source, in(x), is_picture || source.rank(x) == 2);
  if (source.flag("residual")) sum = out.emit("Add", {sum, in(source.input(5))});
  if (source.flag("relu")) sum = out.emit("Relu", {sum});
  is_picture ? out.set_channels_first(y, sum) : out.set(y, sum);
}

constexpr OnnxRule kRules[] = {{"layer_norm", write_layer_norm},
                               {"rms_norm", write_rms_norm},
                               {"batch_norm_inference", write_batch_norm_inference}};

}  // namespace

std::span<const OnnxRule> onnx_norm_rules() { return kRules; }

}  // namespace convoy
