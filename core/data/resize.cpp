#include "core/data/resize.h"

#include <algorithm>
#include <cmath>

namespace convoy {
namespace {

// Which inputs in [0, inputs) make each of `outputs` positions over [begin, begin + length), and their weights, of sum
// 1. Inputs outside the part count where the filter reaches them, as if it had been cut out after resizing.
void set_taps(double begin, double length, std::int64_t inputs, std::int64_t outputs,
              std::vector<ResizeBuffers::Taps>& taps, std::vector<float>& weights) {
  const double scale = length / static_cast<double>(outputs);
  const double reach = std::max(scale, 1.0);
  taps.clear();
  for (std::int64_t i = 0; i < outputs; ++i) {
    const double centre = begin + (static_cast<double>(i) + 0.5) * scale;
    const auto first = std::max<std::int64_t>(0, static_cast<std::int64_t>(std::floor(centre - reach + 0.5)));
    const auto end = std::min(inputs, static_cast<std::int64_t>(std::floor(centre + reach + 0.5)));
    const std::size_t at = weights.size();
    double sum = 0.0;
    for (std::int64_t k = first; k < end; ++k) {
      const double distance = std::abs(static_cast<double>(k) + 0.5 - centre) / reach;
      const double weight = std::max(0.0, 1.0 - distance);
      weights.push_back(static_cast<float>(weight));
      sum += weight;
    }
    for (std::size_t k = at; k < weights.size(); ++k)
      weights[k] = static_cast<float>(static_cast<double>(weights[k]) / sum);
    taps.push_back({.first = first, .count = end - first, .weights = at});
  }
}

}  // namespace

void resize(const PictureView& picture, const Box& box, std::int64_t height, std::int64_t width,
            const Normalization& normalization, ResizeBuffers& buffers, float* out) {
  auto& [taps_x, taps_y, weights, rows] = buffers;
  weights.clear();
  set_taps(box.left, box.width, picture.width, width, taps_x, weights);
  set_taps(box.top, box.height, picture.height, height, taps_y, weights);

  // Along the rows first, for the input rows that are needed.
  const std::int64_t channels = picture.channels;
  const std::int64_t row = width * channels;
  const std::int64_t first_row = taps_y.front().first;
  const std::int64_t end_row = taps_y.back().first + taps_y.back().count;
  rows.resize(static_cast<std::size_t>((end_row - first_row) * row));
  float* to = rows.data();
  for (std::int64_t y = first_row; y < end_row; ++y) {
    const std::uint8_t* from = picture.pixels + y * picture.width * channels;
    for (const ResizeBuffers::Taps& taps : taps_x) {
      float sums[kMaxChannels] = {};
      for (std::int64_t k = 0; k < taps.count; ++k) {
        const float weight = weights[taps.weights + static_cast<std::size_t>(k)];
        const std::uint8_t* pixel = from + (taps.first + k) * channels;
        for (std::int64_t c = 0; c < channels; ++c) sums[c] += weight * static_cast<float>(pixel[c]);
      }
      for (std::int64_t c = 0; c < channels; ++c) *to++ = sums[c];
    }
  }

  for (const ResizeBuffers::Taps& taps : taps_y) {
    std::fill(out, out + row, 0.0F);
    for (std::int64_t k = 0; k < taps.count; ++k) {
      const float weight = weights[taps.weights + static_cast<std::size_t>(k)];
      const float* from = rows.data() + (taps.first + k - first_row) * row;
      for (std::int64_t i = 0; i < row; ++i) out[i] += weight * from[i];
    }
    for (std::int64_t x = 0; x < width; ++x) {
      for (std::int64_t c = 0; c < channels; ++c, ++out) *out = normalization.of(*out, c);
    }
  }
}

}  // namespace convoy
