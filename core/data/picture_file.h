// Decoding JPEG and PNG files to RGB bytes. The format is told by a file's first bytes, not by its name. Grey pictures
// become RGB, transparency is dropped, 16 bits become 8; orientation (EXIF), colour profiles and gamma are ignored.
// What is cut short or damaged is refused: nothing is made up for missing pixels.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/data/pictures.h"

namespace convoy {

struct PictureSize {
  std::int64_t height = 0;
  std::int64_t width = 0;
  bool operator==(const PictureSize&) const = default;
};

// `path` is what messages call the bytes. All throw Error(kUsage) that names it.

// The size, from the header.
PictureSize picture_size(std::span<const std::uint8_t> bytes, const std::string& path);

// Decodes into `pixels` ([height, width, 3] of the result). A JPEG is reduced to 1/2, 1/4 or 1/8 while decoding, the
// cheapest of them that leaves at least `least` pixels each way (rounded up).
PictureView decode_picture(std::span<const std::uint8_t> bytes, const std::string& path, PictureSize least,
                           std::vector<std::uint8_t>& pixels);

// The file's bytes, read into `bytes`; its first `limit` only, where that is less.
void read_bytes(const std::string& path, std::size_t limit, std::vector<std::uint8_t>& bytes);

}  // namespace convoy
