#include "core/data/picture_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/base/error.h"
#include "core/base/unique_fd.h"
#include "core/data/jpeg_file.h"
#include "core/data/png_file.h"

namespace convoy {
namespace {

constexpr std::int64_t kMaxPixels = std::int64_t{1} << 28;  // no damaged header asks for more memory than this takes

[[noreturn]] void refuse(std::span<const std::uint8_t> bytes, const std::string& path) {
  if (bytes.empty()) fail(ErrorCode::kUsage, "{}: is empty; expected a JPEG or PNG picture", path);
  fail(ErrorCode::kUsage, "{}: is neither a JPEG nor a PNG picture", path);
}

}  // namespace

PictureSize picture_size(std::span<const std::uint8_t> bytes, const std::string& path) {
  if (!is_jpeg(bytes) && !is_png(bytes)) refuse(bytes, path);
  const PictureSize size = is_jpeg(bytes) ? jpeg_size(bytes, path) : png_size(bytes, path);
  if (size.height * size.width > kMaxPixels) {
    fail(ErrorCode::kUsage, "{}: has {} x {} pixels; expected at most {} in all", path, size.width, size.height,
         kMaxPixels);
  }
  return size;
}

PictureView decode_picture(std::span<const std::uint8_t> bytes, const std::string& path, PictureSize least,
                           std::vector<std::uint8_t>& pixels) {
  if (is_jpeg(bytes)) return decode_jpeg(bytes, path, least, pixels);
  if (is_png(bytes)) return decode_png(bytes, path, pixels);
  refuse(bytes, path);
}

void read_bytes(const std::string& path, std::size_t limit, std::vector<std::uint8_t>& bytes) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) fail(ErrorCode::kUsage, "{}: cannot open: {}", path, errno_text(errno));
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) fail(ErrorCode::kUsage, "{}: cannot read: {}", path, errno_text(errno));
  bytes.resize(std::min(limit, static_cast<std::size_t>(status.st_size)));
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t got = ::read(file.get(), bytes.data() + at, bytes.size() - at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(ErrorCode::kUsage, "{}: cannot read: {}", path, errno_text(errno));
    if (got == 0) bytes.resize(at);  // it shrank meanwhile
    at += static_cast<std::size_t>(got);
  }
}

}  // namespace convoy
