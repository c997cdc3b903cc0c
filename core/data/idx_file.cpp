#include "core/data/idx_file.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include "core/base/error.h"

namespace convoy {
namespace {

constexpr std::uint32_t kUnsignedBytes = 0x08;  // the element type in the magic number

// A gzip file or a plain one: zlib reads both.
class Reader {
 public:
  explicit Reader(const std::string& path) : path_(path), file_(gzopen(path.c_str(), "rbe"), &gzclose) {
    if (file_ == nullptr) fail(ErrorCode::kUsage, "{}: cannot open: {}", path, errno_text(errno));
    gzbuffer(file_.get(), 1 << 17);
  }

  // Reads up to `count` bytes; fewer only at the end of the file.
  std::size_t read(std::uint8_t* to, std::size_t count) {
    errno = 0;
    const int got = gzread(file_.get(), to, static_cast<unsigned>(count));
    int error = Z_OK;
    const char* text = gzerror(file_.get(), &error);
    if (error == Z_ERRNO) fail(ErrorCode::kUsage, "{}: cannot read: {}", path_, errno_text(errno));
    if (error == Z_BUF_ERROR) fail(ErrorCode::kUsage, "{}: the gzip file is cut short", path_);
    if (got < 0 || error != Z_OK) fail(ErrorCode::kUsage, "{}: the gzip file is damaged: {}", path_, text);
    return static_cast<std::size_t>(got);
  }

  std::uint32_t read_word() {
    std::array<std::uint8_t, 4> bytes{};
    if (read(bytes.data(), bytes.size()) < bytes.size()) {
      fail(ErrorCode::kUsage, "{}: ends inside its header; expected an IDX file", path_);
    }
    return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 | std::uint32_t{bytes[2]} << 8 | bytes[3];
  }

 private:
  const std::string& path_;
  std::unique_ptr<gzFile_s, int (*)(gzFile)> file_;
};

}  // namespace

IdxFile read_idx(const std::string& path, int rank) {
  Reader reader(path);
  const std::uint32_t magic = reader.read_word();
  const std::uint32_t expected = kUnsignedBytes << 8 | static_cast<std::uint32_t>(rank);
  if (magic != expected) {
    fail(ErrorCode::kUsage, "{}: begins with {:#010x}; expected {:#010x} (IDX, unsigned bytes, {} dimension{})", path,
         magic, expected, rank, rank == 1 ? "" : "s");
  }
  IdxFile file;
  std::uint64_t size = 1;
  for (int i = 0; i < rank; ++i) {
    file.shape.push_back(reader.read_word());
    const bool overflows = __builtin_mul_overflow(size, static_cast<std::uint64_t>(file.shape.back()), &size);
    if (overflows) fail(ErrorCode::kUsage, "{}: the dimensions in its header are too large", path);
  }
  // Piece by piece, so that a wrong header cannot ask for more memory than the file fills.
  constexpr std::uint64_t kPiece = 1 << 20;
  while (file.elements.size() < size) {
    const std::size_t before = file.elements.size();
    const auto piece = static_cast<std::size_t>(std::min(size - before, kPiece));
    file.elements.resize(before + piece);
    const std::size_t got = reader.read(file.elements.data() + before, piece);
    if (got < piece) {
      fail(ErrorCode::kUsage, "{}: is cut short after {} of {} bytes of data", path, before + got, size);
    }
  }
  file.elements.shrink_to_fit();
  std::uint8_t extra = 0;
  if (reader.read(&extra, 1) != 0) {
    fail(ErrorCode::kUsage, "{}: goes on after the {} bytes of data that its header announces", path, size);
  }
  return file;
}

}  // namespace convoy
