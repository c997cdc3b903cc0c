#include "core/base/durable_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "core/base/error.h"
#include "core/base/uuid.h"

namespace convoy {

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

DurableFile::DurableFile(std::string path, unsigned mode)
    : path_(std::move(path)), temporary_(path_ + ".tmp-" + random_hex(8)) {
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
  }
}

void DurableFile::commit() {
  if (::fsync(descriptor_) != 0) fail(ErrorCode::kUnavailable, "{}: fsync: {}", path_, errno_text(errno));
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

}  // namespace convoy
