#include "core/data/png_file.h"

#include <png.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>

#include "core/base/error.h"

namespace convoy {
namespace {

constexpr std::size_t kSignature = 8;
constexpr std::size_t kHeaderEnd = 33;  // signature, and the header chunk with its checksum

// What libpng's callbacks see of a decoding. libpng reports errors by a jump, which must not pass over anything that
// has a destructor: it starts and ends in decode_rows(), which has nothing but plain values.
struct Decoding {
  std::span<const std::uint8_t> bytes;
  std::size_t at = 0;
  char error[128] = {};
  std::jmp_buf on_error;
};

[[noreturn]] void on_error(png_structp png, png_const_charp message) {
  auto* decoding = static_cast<Decoding*>(png_get_error_ptr(png));
  std::snprintf(decoding->error, sizeof(decoding->error), "%s", message);
  std::longjmp(decoding->on_error, 1);
}

void on_warning(png_structp, png_const_charp) {}

void read_some(png_structp png, png_bytep to, std::size_t count) {
  auto* decoding = static_cast<Decoding*>(png_get_io_ptr(png));
  if (count > decoding->bytes.size() - decoding->at) png_error(png, "it is cut short");
  std::memcpy(to, decoding->bytes.data() + decoding->at, count);
  decoding->at += count;
}

// Decodes to `rows`, as many as the picture is high, each 3 bytes a pixel. False: see decoding.error.
bool decode_rows(png_structp png, png_infop info, Decoding& decoding, png_bytepp rows) {
  if (setjmp(decoding.on_error) != 0) return false;
  png_set_read_fn(png, &decoding, &read_some);
  png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
  png_read_info(png, info);
  png_set_expand(png);  // palettes and less than 8 bits
  png_set_strip_16(png);
  png_set_strip_alpha(png);
  png_set_gray_to_rgb(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  png_read_image(png, rows);
  png_read_end(png, nullptr);
  return true;
}

struct Reader {
  explicit Reader(Decoding& decoding)
      : png(png_create_read_struct(PNG_LIBPNG_VER_STRING, &decoding, &on_error, &on_warning)) {
    if (png != nullptr) info = png_create_info_struct(png);
  }
  ~Reader() { png_destroy_read_struct(&png, &info, nullptr); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  png_structp png;
  png_infop info = nullptr;
};

std::uint32_t big_endian(const std::uint8_t* at) {
  return std::uint32_t{at[0]} << 24 | std::uint32_t{at[1]} << 16 | std::uint32_t{at[2]} << 8 | at[3];
}

}  // namespace

bool is_png(std::span<const std::uint8_t> bytes) {
  return bytes.size() >= kSignature && std::memcmp(bytes.data(), "\x89PNG\r\n\x1a\n", kSignature) == 0;
}

PictureSize png_size(std::span<const std::uint8_t> bytes, const std::string& path) {
  const bool whole = bytes.size() >= kHeaderEnd && std::memcmp(bytes.data() + 12, "IHDR", 4) == 0;
  const std::uint32_t width = whole ? big_endian(bytes.data() + 16) : 0;
  const std::uint32_t height = whole ? big_endian(bytes.data() + 20) : 0;
  if (width == 0 || height == 0 || width > PNG_USER_WIDTH_MAX || height > PNG_USER_HEIGHT_MAX)
    fail(ErrorCode::kUsage, "{}: is no whole PNG picture: its header is damaged", path);
  return {.height = height, .width = width};
}

PictureView decode_png(std::span<const std::uint8_t> bytes, const std::string& path,
                       std::vector<std::uint8_t>& pixels) {
  const PictureSize size = png_size(bytes, path);
  const auto row_bytes = static_cast<std::size_t>(3 * size.width);
  pixels.resize(row_bytes * static_cast<std::size_t>(size.height));
  std::vector<png_bytep> rows(static_cast<std::size_t>(size.height));
  for (std::size_t y = 0; y < rows.size(); ++y) rows[y] = pixels.data() + y * row_bytes;

  Decoding decoding{.bytes = bytes, .at = 0, .error = {}, .on_error = {}};
  const Reader reader(decoding);
  if (reader.info == nullptr) fail(ErrorCode::kUnavailable, "out of memory: cannot start libpng");
  if (!decode_rows(reader.png, reader.info, decoding, rows.data()))
    fail(ErrorCode::kUsage, "{}: is no whole PNG picture: {}", path, decoding.error);
  return {.pixels = pixels.data(), .height = size.height, .width = size.width, .channels = 3};
}

}  // namespace convoy
