// Files that are there whole or not at all, even after a crash or a power cut: written beside their place under a
// temporary name, fsynced, renamed over it, and the folder fsynced.
#pragma once

#include <string>
#include <string_view>

namespace convoy {

// One such file while it is being written in pieces. Nothing stands at `path` (or the old file still does) until
// commit() has returned; without commit() the temporary file is removed. One thread at a time.
// Every failure is Error(kUnavailable) that names the file.
class DurableFile {
 public:
  // `mode`: permissions of the new file, less the process's umask.
  explicit DurableFile(std::string path, unsigned mode = 0666);
  ~DurableFile();
  DurableFile(const DurableFile&) = delete;
  DurableFile& operator=(const DurableFile&) = delete;

  void write(std::string_view bytes);
  void commit();

 private:
  std::string path_;
  std::string temporary_;
  int descriptor_ = -1;
  bool committed_ = false;
};

// Replaces what stands at `path` by `contents`. Throws Error(kUnavailable) that names the file.
void write_durably(const std::string& path, std::string_view contents, unsigned mode = 0666);

// Flushes what was written to a file, by whomever. Throws Error(kUnavailable).
void sync_file(const std::string& path);

// Flushes a folder's entries: what was renamed into it stays there. Throws Error(kUnavailable).
void sync_folder(const std::string& folder);

}  // namespace convoy
