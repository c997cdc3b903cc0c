#include "tests/support/picture_files.h"

#include <png.h>
#include <turbojpeg.h>

#include <stdexcept>

namespace convoy::testing_support {
namespace {

std::string encode_jpeg(const TestPicture& picture, int format, int subsampling, int quality) {
  tjhandle encoder = tjInitCompress();
  unsigned char* bytes = nullptr;
  unsigned long size = 0;  // the library's own type
  const int failed = tjCompress2(encoder, picture.pixels.data(), picture.width, 0, picture.height, format, &bytes,
                                 &size, subsampling, quality, TJFLAG_ACCURATEDCT);
  std::string file(reinterpret_cast<const char*>(bytes), size);
  tjFree(bytes);
  tjDestroy(encoder);
  if (failed != 0) throw std::runtime_error("cannot encode a test picture");
  return file;
}

}  // namespace

TestPicture plain_picture(int height, int width, std::vector<std::uint8_t> pixel) {
  TestPicture picture{.height = height, .width = width, .channels = static_cast<int>(pixel.size()), .pixels = {}};
  for (int i = 0; i < height * width; ++i) picture.pixels.insert(picture.pixels.end(), pixel.begin(), pixel.end());
  return picture;
}

std::string jpeg_of(const TestPicture& picture, int quality) {
  if (picture.channels == 1) return encode_jpeg(picture, TJPF_GRAY, TJSAMP_GRAY, quality);
  return encode_jpeg(picture, TJPF_RGB, TJSAMP_444, quality);
}

std::string cmyk_jpeg_of(const TestPicture& picture) { return encode_jpeg(picture, TJPF_CMYK, TJSAMP_444, 95); }

std::string png_of(const TestPicture& picture) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(picture.width);
  image.height = static_cast<png_uint_32>(picture.height);
  image.format = picture.channels == 1 ? PNG_FORMAT_GRAY : picture.channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_RGBA;
  png_alloc_size_t size = 0;
  bool done = png_image_write_to_memory(&image, nullptr, &size, 0, picture.pixels.data(), 0, nullptr) != 0;
  std::string file(size, '\0');
  done = done && png_image_write_to_memory(&image, file.data(), &size, 0, picture.pixels.data(), 0, nullptr) != 0;
  if (!done) throw std::runtime_error("cannot encode a test picture");
  return file;
}

}  // namespace convoy::testing_support
