// PNG decoding; for core/data/picture_file.cpp only, which says what the arguments are.
#pragma once

#include "core/data/picture_file.h"

namespace convoy {

bool is_png(std::span<const std::uint8_t> bytes);
PictureSize png_size(std::span<const std::uint8_t> bytes, const std::string& path);
PictureView decode_png(std::span<const std::uint8_t> bytes, const std::string& path, std::vector<std::uint8_t>& pixels);

}  // namespace convoy
