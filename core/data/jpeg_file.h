// JPEG decoding; for core/data/picture_file.cpp only, which says what the arguments are.
#pragma once

#include "core/data/picture_file.h"

namespace convoy {

bool is_jpeg(std::span<const std::uint8_t> bytes);
PictureSize jpeg_size(std::span<const std::uint8_t> bytes, const std::string& path);
PictureView decode_jpeg(std::span<const std::uint8_t> bytes, const std::string& path, PictureSize least,
                        std::vector<std::uint8_t>& pixels);

}  // namespace convoy
