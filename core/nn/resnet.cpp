#include "core/nn/resnet.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "core/base/error.h"
#include "core/graph/recorder.h"
#include "core/ops/pool.h"

namespace convoy {
namespace {

struct Depth {
  std::int64_t layers;
  std::array<std::int64_t, 4> blocks;  // of each stage
  bool bottleneck;
};

constexpr Depth kDepths[] = {{18, {2, 2, 2, 2}, false},
                             {34, {3, 4, 6, 3}, false},
                             {50, {3, 4, 6, 3}, true},
                             {101, {3, 4, 23, 3}, true},
                             {152, {3, 8, 36, 3}, true}};
constexpr std::int64_t kExpansion = 4;  // of a bottleneck's last convolution

const Depth* find_depth(std::int64_t layers) {
  for (const Depth& depth : kDepths) {
    if (depth.layers == layers) return &depth;
  }
  return nullptr;
}

const Depth& depth_of(std::int64_t layers) {
  const Depth* depth = find_depth(layers);
  if (depth == nullptr) fail(ErrorCode::kInvalidArgument, "resnet: {} layers; expected 18, 34, 50, 101 or 152", layers);
  return *depth;
}

ConvolutionOptions stem_options(const ResNetOptions& options) {
  if (options.small_stem) return {.in = options.channels, .out = options.width, .kernel = 3, .stride = 1, .padding = 1};
  return {.in = options.channels, .out = options.width, .kernel = 7, .stride = 2, .padding = 3};
}

}  // namespace

bool ResNet::has_layers(std::int64_t layers) { return find_depth(layers) != nullptr; }

bool ResNet::small_stem(const std::string& stem, const Shape& picture) {
  constexpr std::int64_t kSmall = 64;
  return stem == "small" || (stem == "auto" && std::max(picture[0], picture[1]) <= kSmall);
}

ResNet::ResNet(const ResNetOptions& options)
    : options_(options),
      stem_{Convolution(ParameterScope(parameters_, "conv1"), stem_options(options)),
            BatchNorm(ParameterScope(parameters_, "bn1"), options.width)} {
  const Depth& depth = depth_of(options.layers);
  std::int64_t in = options.width;
  for (std::size_t stage = 0; stage < depth.blocks.size(); ++stage) {
    const ParameterScope scope(parameters_, "layer" + std::to_string(stage + 1));
    const std::int64_t width = options.width << stage;
    for (std::int64_t i = 0; i < depth.blocks[stage]; ++i) {
      blocks_.push_back(make_block(scope / std::to_string(i), in, width, stage > 0 && i == 0 ? 2 : 1));
      in = depth.bottleneck ? width * kExpansion : width;
    }
  }
  head_.emplace(ParameterScope(parameters_, "fc"), in, options.classes, std::sqrt(1.0 / static_cast<double>(in)));
}

ResNet::Block ResNet::make_block(const ParameterScope& scope, std::int64_t in, std::int64_t width,
                                 std::int64_t stride) const {
  const bool bottleneck = depth_of(options_.layers).bottleneck;
  const std::int64_t out = bottleneck ? width * kExpansion : width;
  std::vector<ConvolutionOptions> convolutions;
  if (bottleneck) {
    convolutions = {{.in = in, .out = width},
                    {.in = width, .out = width, .kernel = 3, .stride = stride, .padding = 1},
                    {.in = width, .out = out}};
  } else {
    convolutions = {{.in = in, .out = width, .kernel = 3, .stride = stride, .padding = 1},
                    {.in = width, .out = width, .kernel = 3, .padding = 1}};
  }
  Block block;
  for (std::size_t i = 0; i < convolutions.size(); ++i) {
    const std::string number = std::to_string(i + 1);
    const double gain = i + 1 == convolutions.size() ? options_.residual_gain : 1.0;
    block.units.push_back({Convolution(scope / ("conv" + number), convolutions[i]),
                           BatchNorm(scope / ("bn" + number), convolutions[i].out, gain)});
  }
  if (stride != 1 || in != out) {
    const ParameterScope shortcut = scope / "downsample";
    block.shortcut =
        Unit{Convolution(shortcut / "0", {.in = in, .out = out, .stride = stride}), BatchNorm(shortcut / "1", out)};
  }
  return block;
}

Tensor ResNet::run_block(const Block& block, const Tensor& x, Mode mode) {
  const BlockScope scope;
  const Tensor shortcut = block.shortcut ? block.shortcut->norm(block.shortcut->convolution(x), mode, false) : x;
  Tensor y = x;
  for (std::size_t i = 0; i < block.units.size(); ++i) {
    const Unit& unit = block.units[i];
    y = unit.norm(unit.convolution(y), mode, true, i + 1 == block.units.size() ? shortcut : Tensor());
  }
  return y;
}

Tensor ResNet::logits(const Tensor& inputs, Mode mode) const {
  Tensor x = stem_.norm(stem_.convolution(inputs), mode, true);
  if (!options_.small_stem) x = max_pool2d(x, {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}});
  for (const Block& block : blocks_) x = run_block(block, x, mode);
  return (*head_)(global_average_pool2d(x));
}

}  // namespace convoy
