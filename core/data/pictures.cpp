#include "core/data/pictures.h"

namespace convoy {

Normalization::Normalization(std::span<const double> means, std::span<const double> deviations) {
  for (std::size_t c = 0; c < means.size(); ++c) {
    for (std::size_t value = 0; value < table_[c].size(); ++value)
      table_[c][value] = static_cast<float>((static_cast<double>(value) / 255.0 - means[c]) / deviations[c]);
    scale_[c] = static_cast<float>(1.0 / (255.0 * deviations[c]));
    shift_[c] = static_cast<float>(-means[c] / deviations[c]);
  }
}

void Normalization::apply(const PictureView& picture, float* out) const {
  const std::uint8_t* pixel = picture.pixels;
  const std::uint8_t* end = pixel + picture.height * picture.width * picture.channels;
  if (picture.channels == 1) {
    const float* table = table_[0].data();
    constexpr std::int64_t kAtOnce = 8;
    for (; end - pixel >= kAtOnce; pixel += kAtOnce, out += kAtOnce) {
      for (std::int64_t i = 0; i < kAtOnce; ++i) out[i] = table[pixel[i]];
    }
    while (pixel != end) *out++ = table[*pixel++];
    return;
  }
  while (pixel != end) {
    for (std::int64_t c = 0; c < picture.channels; ++c) *out++ = of(*pixel++, c);
  }
}

}  // namespace convoy
