#include "core/base/durable_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/base/unique_fd.h"
#include "core/base/uuid.h"

namespace convoy {
namespace {

// Of a file that is flushed as it goes: small enough to hold nobody up, large enough to keep a disk busy.
constexpr std::int64_t kPiece = std::int64_t{4} << 20;

}  // namespace

void sync_folder(const std::string& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) fail(ErrorCode::kUnavailable, "{}: cannot open the folder: {}", folder, errno_text(errno));
  const int error = ::fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  // Some file systems have nothing to flush for a folder and say so.
  if (error != 0 && error != EINVAL) fail(ErrorCode::kUnavailable, "{}: fsync: {}", folder, errno_text(error));
}

void sync_file(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) fail(ErrorCode::kUnavailable, "{}: cannot open: {}", path, errno_text(errno));
  const int error = ::fdatasync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  if (error != 0) fail(ErrorCode::kUnavailable, "{}: fdatasync: {}", path, errno_text(error));
}

DurableFile::DurableFile(std::string path, unsigned mode, Flushing flushing)
    : path_(std::move(path)), temporary_(path_ + ".tmp-" + random_hex(8)), flushing_(flushing) {
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, static_cast<mode_t>(mode));
  if (descriptor_ < 0) fail(ErrorCode::kUnavailable, "{}: cannot create: {}", path_, errno_text(errno));
}

DurableFile::~DurableFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!committed_) ::unlink(temporary_.c_str());
}

void DurableFile::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(ErrorCode::kUnavailable, "{}: cannot write: {}", path_, errno_text(errno));
    bytes.remove_prefix(static_cast<std::size_t>(written));
    written_ += written;
  }
  if (flushing_ == Flushing::kAsItGoes) flush_pieces();
}

// One piece is on its way while the next is filled.
void DurableFile::flush_pieces() {
  for (; written_ - flushing_to_ >= kPiece; flushing_to_ += kPiece) {
    flush(flushing_to_, SYNC_FILE_RANGE_WRITE);
    const std::int64_t before = flushing_to_ - kPiece;
    if (before < 0) continue;
    flush(before, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
    ::posix_fadvise(descriptor_, before, kPiece, POSIX_FADV_DONTNEED);
  }
}

void DurableFile::flush(std::int64_t begin, unsigned how) {
  if (::sync_file_range(descriptor_, begin, kPiece, how) == 0) return;
  // Not every file system can; commit() flushes all of it.
  const bool cannot = errno == ENOSYS || errno == EINVAL || errno == ESPIPE || errno == EOPNOTSUPP;
  if (!cannot) fail(ErrorCode::kUnavailable, "{}: cannot write: {}", path_, errno_text(errno));
}

void DurableFile::commit() {
  if (::fsync(descriptor_) != 0) fail(ErrorCode::kUnavailable, "{}: fsync: {}", path_, errno_text(errno));
  if (flushing_ == Flushing::kAsItGoes) ::posix_fadvise(descriptor_, 0, 0, POSIX_FADV_DONTNEED);
  if (::close(std::exchange(descriptor_, -1)) != 0) {
    fail(ErrorCode::kUnavailable, "{}: close: {}", path_, errno_text(errno));
  }
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) {
    fail(ErrorCode::kUnavailable, "{}: cannot rename into place: {}", path_, errno_text(errno));
  }
  committed_ = true;
  sync_folder((std::filesystem::path(path_).parent_path() / ".").string());
}

void write_durably(const std::string& path, std::string_view contents, unsigned mode) {
  DurableFile file(path, mode);
  file.write(contents);
  file.commit();
}

void read_through(const std::string& path, const std::function<void(std::span<const std::byte>)>& on_piece) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) fail(ErrorCode::kUnavailable, "{}: cannot open: {}", path, errno_text(errno));
  ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED);
  ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  std::vector<std::byte> piece(std::size_t{1} << 20);
  for (std::int64_t offset = 0;;) {
    const ssize_t bytes = ::pread(file.get(), piece.data(), piece.size(), offset);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) fail(ErrorCode::kUnavailable, "{}: cannot read: {}", path, errno_text(errno));
    if (bytes == 0) return;
    on_piece(std::span(piece).first(static_cast<std::size_t>(bytes)));
    ::posix_fadvise(file.get(), offset, bytes, POSIX_FADV_DONTNEED);
    offset += bytes;
  }
}

}  // namespace convoy
