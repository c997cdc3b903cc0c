// Pictures as bytes and as the numbers a model reads.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace convoy {

constexpr std::int64_t kMaxChannels = 3;

// Bytes [height, width, channels], contiguous; at most kMaxChannels channels. Somebody else's memory.
struct PictureView {
  const std::uint8_t* pixels = nullptr;
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::int64_t channels = 0;
};

// Turns bytes into numbers of mean 0 and variance 1 per channel.
class Normalization {
 public:
  // Of the channels' values divided by 255; one of each per channel.
  Normalization(std::span<const double> means, std::span<const double> deviations);

  float of(std::uint8_t value, std::int64_t channel) const { return table_[index(channel)][value]; }
  // The same for a value between bytes, 0 to 255.
  float of(float value, std::int64_t channel) const { return value * scale_[index(channel)] + shift_[index(channel)]; }

  // The whole picture.
  void apply(const PictureView& picture, float* out) const;

 private:
  static std::size_t index(std::int64_t channel) { return static_cast<std::size_t>(channel); }

  std::array<std::array<float, 256>, kMaxChannels> table_{};
  std::array<float, kMaxChannels> scale_{};
  std::array<float, kMaxChannels> shift_{};
};

}  // namespace convoy
