// Files that are there whole or not at all, even after a crash or a power cut: written beside their place under a
// temporary name, fsynced, renamed over it, and the folder fsynced.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace convoy {

// When what is written goes to the disk.
enum class Flushing : std::uint8_t {
  kAtCommit,  // when the system finds time; commit() waits for the rest
  kAsItGoes  // in small pieces that are waited for and then leave the system's cache: for large files that nobody reads
             // soon. Others' reads and writes are not held up, and commit() has next to nothing to wait for
};

// One such file while it is being written in pieces. Nothing stands at `path` (or the old file still does) until
// commit() has returned; without commit() the temporary file is removed. One thread at a time.
// Every failure is Error(kUnavailable) that names the file.
class DurableFile {
 public:
  // `mode`: permissions of the new file, less the process's umask.
  explicit DurableFile(std::string path, unsigned mode = 0666, Flushing flushing = Flushing::kAtCommit);
  ~DurableFile();
  DurableFile(const DurableFile&) = delete;
  DurableFile& operator=(const DurableFile&) = delete;

  void write(std::string_view bytes);
  void commit();

 private:
  void flush_pieces();
  void flush(std::int64_t begin, unsigned how);

  std::string path_;
  std::string temporary_;
  Flushing flushing_;
  std::int64_t written_ = 0;      // bytes
  std::int64_t flushing_to_ = 0;  // whose way to the disk has begun
  int descriptor_ = -1;
  bool committed_ = false;
};

// Replaces what stands at `path` by `contents`. Throws Error(kUnavailable) that names the file.
void write_durably(const std::string& path, std::string_view contents, unsigned mode = 0666);

// Hands a file's bytes over, in pieces, as they lie on the disk where the system lets go of what it has cached, and
// leaves no more of them in that cache than it must. Throws Error(kUnavailable) that names the file.
void read_through(const std::string& path, const std::function<void(std::span<const std::byte>)>& on_piece);

// Flushes what was written to a file, by whomever. Throws Error(kUnavailable).
void sync_file(const std::string& path);

// Flushes a folder's entries: what was renamed into it stays there. Throws Error(kUnavailable).
void sync_folder(const std::string& folder);

}  // namespace convoy
