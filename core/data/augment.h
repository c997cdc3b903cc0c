// Random changes to training pictures. Every draw is a pure function of (seed, data epoch, sample), so a picture looks
// the same whoever reads it, when and after which others; the arithmetic is plain, so it does on every machine.
//
// data.augment   | mnist, cifar (pictures of one size)              | images
// "none"         | as they are                                      | the largest centred square, resized
// "crop"         | moved by up to 4 pixels (mnist: 2) each way, the | a random part of 8 to 100 % of the area and a
//                | part moved in is black                           | shape from 3:4 to 4:3, resized
// "crop-flip"    | the same, every other one mirrored               | the same, every other one mirrored
// "affine"       | turned by up to 15 degrees, scaled by 0.9 to  | -
//                | 1.1, moved by up to 1/14 of the side (2 of 28 |
//                | pixels) each way, in between pixels           |
#pragma once

#include <cstdint>
#include <string_view>

#include "core/base/philox.h"
#include "core/data/dataset.h"
#include "core/data/pictures.h"

namespace convoy {

enum class Augment { kNone, kCrop, kCropFlip, kAffine };

// data.augment by name. Throws Error(kUsage) for another one.
Augment augment_from(std::string_view name);

// The random numbers of one sample: draw `i` of it, whichever others were taken.
class SampleDraws {
 public:
  SampleDraws(std::uint64_t seed, SampleId sample);

  float uniform(std::uint32_t i) const { return uniform_float(bits(i)); }  // in [0, 1)
  float between(std::uint32_t i, float low, float high) const { return low + uniform(i) * (high - low); }
  // In [low, high].
  std::int64_t whole(std::uint32_t i, std::int64_t low, std::int64_t high) const {
    const auto count = static_cast<std::uint64_t>(high - low + 1);
    return low + static_cast<std::int64_t>(bits(i) * count >> 32);
  }
  bool coin(std::uint32_t i) const { return (bits(i) & 1) != 0; }

 private:
  std::uint64_t bits(std::uint32_t i) const { return philox({i, 0, 0, 0}, key_)[0]; }

  PhiloxKey key_;
};

// A picture of [height, width, channels] into as many numbers: augmented where `augment` says so. `reach`: pixels it
// is moved by at most ("crop").
void write_augmented(const PictureView& picture, Augment augment, std::int64_t reach, const SampleDraws& draws,
                     const Normalization& normalization, float* out);

// Whether "crop-flip" mirrors the sample.
bool flips(const SampleDraws& draws);
// Mirrors [height, width, channels] left to right in place.
void mirror(float* picture, std::int64_t height, std::int64_t width, std::int64_t channels);

// A part of a picture, in pixels; it lies inside and is not empty.
struct Box {
  double top = 0.0;
  double left = 0.0;
  double height = 0.0;
  double width = 0.0;
  bool operator==(const Box&) const = default;
};

// The largest centred part with the shape of out_height : out_width.
Box centred_box(std::int64_t height, std::int64_t width, std::int64_t out_height, std::int64_t out_width);
// A random part: 8 to 100 % of the area, sides from 3:4 to 4:3 of the shape of out_height : out_width. The centred one
// where ten draws do not fit inside, as in a very long picture.
Box random_box(std::int64_t height, std::int64_t width, std::int64_t out_height, std::int64_t out_width,
               const SampleDraws& draws);

}  // namespace convoy
