// Encodes small pictures for tests.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace convoy::testing_support {

// Bytes [height, width, channels]; channels: 1 grey, 3 RGB, 4 RGBA.
struct TestPicture {
  int height = 0;
  int width = 0;
  int channels = 3;
  std::vector<std::uint8_t> pixels;
};

// Every pixel the same.
TestPicture plain_picture(int height, int width, std::vector<std::uint8_t> pixel);

// The file's bytes.
std::string jpeg_of(const TestPicture& picture, int quality = 95);
// A picture of printing inks ([height, width, 4], 255 is none).
std::string cmyk_jpeg_of(const TestPicture& picture);
std::string png_of(const TestPicture& picture);

}  // namespace convoy::testing_support
