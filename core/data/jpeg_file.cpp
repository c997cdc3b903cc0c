#include "core/data/jpeg_file.h"

#include <turbojpeg.h>

#include <memory>

#include "core/base/error.h"

namespace convoy {
namespace {

// libjpeg-turbo's own interface: errors come back as codes, never as jumps or exits.
struct Destroy {
  void operator()(void* handle) const { tjDestroy(handle); }
};
using Handle = std::unique_ptr<void, Destroy>;

Handle open_decoder() {
  Handle handle(tjInitDecompress());
  if (handle == nullptr) fail(ErrorCode::kUnavailable, "libjpeg-turbo: {}", tjGetErrorStr2(nullptr));
  return handle;
}

[[noreturn]] void refuse(const Handle& handle, const std::string& path) {
  fail(ErrorCode::kUsage, "{}: is no whole JPEG picture: {}", path, tjGetErrorStr2(handle.get()));
}

struct Header {
  int width = 0;
  int height = 0;
  int subsampling = 0;
  int colours = 0;
};

Header read_header(const Handle& handle, std::span<const std::uint8_t> bytes, const std::string& path) {
  Header header;
  if (tjDecompressHeader3(handle.get(), bytes.data(), bytes.size(), &header.width, &header.height, &header.subsampling,
                          &header.colours) != 0)
    refuse(handle, path);
  return header;
}

// Printing inks, which JPEGs keep inverted: 255 is none. In place; [n, 4] becomes [n, 3].
void rgb_from_inks(std::uint8_t* pixels, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint8_t* inks = pixels + 4 * i;
    const int black = inks[3];
    for (int c = 0; c < 3; ++c) pixels[3 * i + c] = static_cast<std::uint8_t>((inks[c] * black + 127) / 255);
  }
}

}  // namespace

bool is_jpeg(std::span<const std::uint8_t> bytes) { return bytes.size() >= 2 && bytes[0] == 0xFF && bytes[1] == 0xD8; }

PictureSize jpeg_size(std::span<const std::uint8_t> bytes, const std::string& path) {
  const Header header = read_header(open_decoder(), bytes, path);
  return {.height = header.height, .width = header.width};
}

PictureView decode_jpeg(std::span<const std::uint8_t> bytes, const std::string& path, PictureSize least,
                        std::vector<std::uint8_t>& pixels) {
  const Handle handle = open_decoder();
  const Header header = read_header(handle, bytes, path);
  int width = header.width;
  int height = header.height;
  for (const int denominator : {2, 4, 8}) {
    const int w = TJSCALED(header.width, (tjscalingfactor{1, denominator}));
    const int h = TJSCALED(header.height, (tjscalingfactor{1, denominator}));
    if (w < least.width || h < least.height) break;
    width = w;
    height = h;
  }
  const bool inks = header.colours == TJCS_CMYK || header.colours == TJCS_YCCK;
  const std::int64_t count = std::int64_t{height} * width;
  pixels.resize(static_cast<std::size_t>(count * (inks ? 4 : 3)));
  // The accurate transform has the same bits on every processor. A warning (data cut short, damaged) is an error.
  const int flags = TJFLAG_ACCURATEDCT | TJFLAG_STOPONWARNING;
  if (tjDecompress2(handle.get(), bytes.data(), bytes.size(), pixels.data(), width, 0, height,
                    inks ? TJPF_CMYK : TJPF_RGB, flags) != 0)
    refuse(handle, path);
  if (inks) rgb_from_inks(pixels.data(), count);
  return {.pixels = pixels.data(), .height = height, .width = width, .channels = 3};
}

}  // namespace convoy
