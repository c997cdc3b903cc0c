#include "worker/file_range.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <utility>
#include <vector>

#include "core/base/error.h"

namespace convoy::worker {
namespace {

// Small enough to hold nobody up, large enough to keep a disk busy.
constexpr std::int64_t kPiece = std::int64_t{4} << 20;
constexpr std::int64_t kReadPiece = std::int64_t{1} << 20;

[[noreturn]] void cannot_write(const std::string& path) {
  fail(ErrorCode::kUnavailable, "{}: cannot write: {}", path, errno_text(errno));
}

void write_at(int file, const std::string& path, std::span<const std::byte> bytes, std::int64_t offset) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(file, bytes.data(), bytes.size(), offset);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) cannot_write(path);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    offset += written;
  }
}

// What not every file system can do.
bool cannot() { return errno == ENOSYS || errno == EINVAL || errno == ESPIPE || errno == EOPNOTSUPP; }

}  // namespace

void make_file(const std::string& path, std::string_view beginning, std::int64_t bytes) {
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!file) fail(ErrorCode::kUnavailable, "{}: cannot create: {}", path, errno_text(errno));
  if (::fallocate(file.get(), 0, 0, bytes) != 0 && !cannot()) cannot_write(path);
  write_at(file.get(), path, std::as_bytes(std::span(beginning)), 0);
  if (::ftruncate(file.get(), bytes) != 0) cannot_write(path);
}

void fill_file(const std::string& path, std::string_view contents) {
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file) fail(ErrorCode::kUnavailable, "{}: cannot open: {}", path, errno_text(errno));
  write_at(file.get(), path, std::as_bytes(std::span(contents)), 0);
  if (::fdatasync(file.get()) != 0) fail(ErrorCode::kUnavailable, "{}: fdatasync: {}", path, errno_text(errno));
}

void check_beginning(const std::string& path, std::string_view expected) {
  std::ifstream file(path, std::ios::binary);
  std::string found(expected.size(), '\0');
  file.read(found.data(), static_cast<std::streamsize>(found.size()));
  if (!file || found != expected) fail(ErrorCode::kDataLoss, "{}: does not begin as it was written", path);
}

FileRange::FileRange(std::string path, std::int64_t begin)
    : path_(std::move(path)),
      file_(::open(path_.c_str(), O_RDWR | O_CLOEXEC)),
      begin_(begin),
      end_(begin),
      flushing_to_(begin) {
  if (!file_) fail(ErrorCode::kUnavailable, "{}: cannot open: {}", path_, errno_text(errno));
}

void FileRange::write(std::span<const std::byte> bytes) {
  write_at(file_.get(), path_, bytes, end_);
  end_ += static_cast<std::int64_t>(bytes.size());
  flush_pieces();
}

// One piece is on its way while the next is filled.
void FileRange::flush_pieces() {
  for (; end_ - flushing_to_ >= kPiece; flushing_to_ += kPiece) {
    flush_piece(flushing_to_, SYNC_FILE_RANGE_WRITE);
    const std::int64_t before = flushing_to_ - kPiece;
    if (before < begin_) continue;
    flush_piece(before, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
    ::posix_fadvise(file_.get(), before, kPiece, POSIX_FADV_DONTNEED);
  }
}

// flush() does all of it where this cannot.
void FileRange::flush_piece(std::int64_t begin, unsigned how) {
  if (::sync_file_range(file_.get(), begin, kPiece, how) != 0 && !cannot()) cannot_write(path_);
}

void FileRange::flush() {
  if (::fdatasync(file_.get()) != 0) fail(ErrorCode::kUnavailable, "{}: fdatasync: {}", path_, errno_text(errno));
  ::posix_fadvise(file_.get(), begin_, end_ - begin_, POSIX_FADV_DONTNEED);
}

void FileRange::read_back(const std::function<void(std::span<const std::byte>)>& on_piece) const {
  std::vector<std::byte> piece(static_cast<std::size_t>(std::min(kReadPiece, end_ - begin_)));
  for (std::int64_t offset = begin_; offset < end_;) {
    const auto wanted = static_cast<std::size_t>(std::min(kReadPiece, end_ - offset));
    const ssize_t bytes = ::pread(file_.get(), piece.data(), wanted, offset);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) fail(ErrorCode::kUnavailable, "{}: cannot read: {}", path_, errno_text(errno));
    if (bytes == 0) fail(ErrorCode::kDataLoss, "{}: ends after {} bytes, {} were written", path_, offset, end_);
    on_piece(std::span(piece).first(static_cast<std::size_t>(bytes)));
    ::posix_fadvise(file_.get(), offset, bytes, POSIX_FADV_DONTNEED);
    offset += bytes;
  }
}

}  // namespace convoy::worker
