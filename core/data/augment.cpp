#include "core/data/augment.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/base/error.h"

namespace convoy {
namespace {

constexpr std::uint64_t kPurpose = 0x6175676d656e74;  // "augment": keeps this key apart from other uses of the seed

// Which draw decides what. Those of random_box come in pairs from kBox on.
enum Draw : std::uint32_t { kDown = 0, kRight = 1, kFlip = 2, kAngle = 3, kScale = 4, kBox = 16 };

constexpr float kMaxAngle = 0.26179939F;  // 15 degrees
constexpr float kMinScale = 0.9F;
constexpr float kMaxScale = 1.1F;
constexpr float kMaxShift = 1.0F / 14.0F;  // of the side

// Series instead of the C library's functions, whose last bit differs between versions; exact to a float's precision
// for |x| ≤ kMaxAngle.
float sine(float x) {
  const float s = x * x;
  return x * (1.0F - s / 6.0F * (1.0F - s / 20.0F * (1.0F - s / 42.0F)));
}
float cosine(float x) {
  const float s = x * x;
  return 1.0F - s / 2.0F * (1.0F - s / 12.0F * (1.0F - s / 30.0F * (1.0F - s / 56.0F)));
}

// out(y, x) = in(y + down, x + right), black outside.
void write_moved(const PictureView& in, std::int64_t down, std::int64_t right, const Normalization& normalization,
                 float* out) {
  for (std::int64_t y = 0; y < in.height; ++y) {
    const std::int64_t from_y = y + down;
    for (std::int64_t x = 0; x < in.width; ++x) {
      const std::int64_t from_x = x + right;
      const bool inside = from_y >= 0 && from_y < in.height && from_x >= 0 && from_x < in.width;
      const std::uint8_t* pixel = in.pixels + (from_y * in.width + from_x) * in.channels;
      for (std::int64_t c = 0; c < in.channels; ++c) *out++ = normalization.of(inside ? pixel[c] : std::uint8_t{0}, c);
    }
  }
}

// Where the pixels of the result come from: its centre from the centre moved by (down, right), turned and scaled.
struct Affine {
  float cosine, sine;  // divided by the scale
  float down, right;
};

void write_affine(const PictureView& in, const Affine& map, const Normalization& normalization, float* out) {
  const float middle_y = static_cast<float>(in.height - 1) / 2.0F;
  const float middle_x = static_cast<float>(in.width - 1) / 2.0F;
  const std::int64_t row = in.width * in.channels;
  for (std::int64_t y = 0; y < in.height; ++y) {
    for (std::int64_t x = 0; x < in.width; ++x) {
      const float dy = static_cast<float>(y) - middle_y;
      const float dx = static_cast<float>(x) - middle_x;
      const float from_y = map.cosine * dy - map.sine * dx + middle_y + map.down;
      const float from_x = map.sine * dy + map.cosine * dx + middle_x + map.right;
      const float floor_y = std::floor(from_y);
      const float floor_x = std::floor(from_x);
      const float wy = from_y - floor_y;
      const float wx = from_x - floor_x;
      const auto top = static_cast<std::int64_t>(floor_y);
      const auto left = static_cast<std::int64_t>(floor_x);
      for (std::int64_t c = 0; c < in.channels; ++c) {
        const auto at = [&](std::int64_t py, std::int64_t px) {
          const bool inside = py >= 0 && py < in.height && px >= 0 && px < in.width;
          return inside ? static_cast<float>(in.pixels[py * row + px * in.channels + c]) : 0.0F;
        };
        const float upper = at(top, left) * (1.0F - wx) + at(top, left + 1) * wx;
        const float lower = at(top + 1, left) * (1.0F - wx) + at(top + 1, left + 1) * wx;
        *out++ = normalization.of(upper * (1.0F - wy) + lower * wy, c);
      }
    }
  }
}

}  // namespace

Augment augment_from(std::string_view name) {
  if (name == "none") return Augment::kNone;
  if (name == "crop") return Augment::kCrop;
  if (name == "crop-flip") return Augment::kCropFlip;
  if (name == "affine") return Augment::kAffine;
  fail(ErrorCode::kUsage, "data.augment: there is no augmentation \"{}\"", name);
}

SampleDraws::SampleDraws(std::uint64_t seed, SampleId sample)
    : key_(mix(seed, kPurpose, sample.epoch, sample.number)) {}

void write_augmented(const PictureView& picture, Augment augment, std::int64_t reach, const SampleDraws& draws,
                     const Normalization& normalization, float* out) {
  switch (augment) {
    case Augment::kNone:
      return normalization.apply(picture, out);
    case Augment::kCrop:
    case Augment::kCropFlip:
      write_moved(picture, draws.whole(kDown, -reach, reach), draws.whole(kRight, -reach, reach), normalization, out);
      if (augment == Augment::kCropFlip && flips(draws)) mirror(out, picture.height, picture.width, picture.channels);
      return;
    case Augment::kAffine: {
      const float angle = draws.between(kAngle, -kMaxAngle, kMaxAngle);
      const float scale = draws.between(kScale, kMinScale, kMaxScale);
      const float down = kMaxShift * static_cast<float>(picture.height);
      const float right = kMaxShift * static_cast<float>(picture.width);
      const Affine map{.cosine = cosine(angle) / scale,
                       .sine = sine(angle) / scale,
                       .down = draws.between(kDown, -down, down),
                       .right = draws.between(kRight, -right, right)};
      return write_affine(picture, map, normalization, out);
    }
  }
}

bool flips(const SampleDraws& draws) { return draws.coin(kFlip); }

void mirror(float* picture, std::int64_t height, std::int64_t width, std::int64_t channels) {
  for (std::int64_t y = 0; y < height; ++y) {
    float* row = picture + y * width * channels;
    for (std::int64_t left = 0, right = width - 1; left < right; ++left, --right)
      std::swap_ranges(row + left * channels, row + (left + 1) * channels, row + right * channels);
  }
}

Box centred_box(std::int64_t height, std::int64_t width, std::int64_t out_height, std::int64_t out_width) {
  const auto h = static_cast<double>(height);
  const auto w = static_cast<double>(width);
  const double shape = static_cast<double>(out_width) / static_cast<double>(out_height);
  Box box{.top = 0, .left = 0, .height = h, .width = w};
  if (w > h * shape) {
    box.width = h * shape;
    box.left = (w - box.width) / 2;
  } else {
    box.height = w / shape;
    box.top = (h - box.height) / 2;
  }
  return box;
}

Box random_box(std::int64_t height, std::int64_t width, std::int64_t out_height, std::int64_t out_width,
               const SampleDraws& draws) {
  const auto h = static_cast<double>(height);
  const auto w = static_cast<double>(width);
  const double shape = static_cast<double>(out_width) / static_cast<double>(out_height);
  for (std::uint32_t attempt = 0; attempt < 10; ++attempt) {
    const std::uint32_t draw = kBox + 2 * attempt;
    const double area = h * w * (0.08 + 0.92 * static_cast<double>(draws.uniform(draw)));
    // Even over the ratios' inverses as over themselves: u and 1 / u are as likely.
    const double ratio = 1.0 + static_cast<double>(draws.uniform(draw + 1)) / 3.0;
    const double sides = shape * (draws.coin(draw + 1) ? ratio : 1.0 / ratio);  // width / height
    const double box_width = std::sqrt(area * sides);
    const double box_height = std::sqrt(area / sides);
    if (box_width > w || box_height > h) continue;
    return {.top = (h - box_height) * static_cast<double>(draws.uniform(kDown)),
            .left = (w - box_width) * static_cast<double>(draws.uniform(kRight)),
            .height = box_height,
            .width = box_width};
  }
  return centred_box(height, width, out_height, out_width);
}

}  // namespace convoy
