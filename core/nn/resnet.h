// Residual networks (He et al. 2015) for pictures, with torchvision's names and shapes of parameters but for the last
// layer's weight, which is [in, out] like every linear layer here. Bottleneck blocks stride in their 3×3 convolution.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/nn/batch_norm.h"
#include "core/nn/convolution.h"
#include "core/nn/layers.h"
#include "core/nn/model.h"

namespace convoy {

struct ResNetOptions {
  std::int64_t layers = 18;   // 18, 34, 50, 101 or 152
  std::int64_t width = 64;    // channels of the first stage; each of the next three has twice as many
  std::int64_t channels = 3;  // of the pictures
  std::int64_t classes = 0;   //
  bool small_stem = false;    // 3×3 and no pooling, for pictures of about 32×32; otherwise 7×7 strided, then pooling
  double residual_gain = 0.0;  // what the last normalisation of each block starts at
};

class ResNet final : public Model {
 public:
  explicit ResNet(const ResNetOptions& options);
  // Whether there is a network of so many layers.
  static bool has_layers(std::int64_t layers);
  // What a recipe's `stem` ("auto", "small" or "imagenet") means for pictures of this shape [height, width, channels].
  static bool small_stem(const std::string& stem, const Shape& picture);
  // inputs [batch, height, width, channels] → [batch, classes].
  Tensor logits(const Tensor& inputs, Mode mode) const override;

 private:
  // A convolution with the normalisation that follows it.
  struct Unit {
    Convolution convolution;
    BatchNorm norm;
  };
  struct Block {
    std::vector<Unit> units;  // the last one's result is added to the shortcut
    std::optional<Unit> shortcut;
  };
  Block make_block(const ParameterScope& scope, std::int64_t in, std::int64_t width, std::int64_t stride) const;
  static Tensor run_block(const Block& block, const Tensor& x, Mode mode);

  ResNetOptions options_;
  Unit stem_;
  std::vector<Block> blocks_;
  std::optional<Linear> head_;
};

}  // namespace convoy
