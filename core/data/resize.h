// Resizing pictures with a triangle filter that widens with the reduction, so that a large reduction averages instead
// of picking pixels (what Pillow and others call antialiased bilinear).
#pragma once

#include <vector>

#include "core/data/augment.h"
#include "core/data/pictures.h"

namespace convoy {

// Scratch of resize(), kept from one picture to the next.
struct ResizeBuffers {
  struct Taps {
    std::int64_t first = 0;  // input position of the first weight
    std::int64_t count = 0;
    std::size_t weights = 0;  // where they begin in `weights`
  };
  std::vector<Taps> taps_x, taps_y;
  std::vector<float> weights;
  std::vector<float> rows;  // input rows at the width of the output
};

// The part `box` of `picture` into [height, width, channels] normalised numbers.
void resize(const PictureView& picture, const Box& box, std::int64_t height, std::int64_t width,
            const Normalization& normalization, ResizeBuffers& buffers, float* out);

}  // namespace convoy
