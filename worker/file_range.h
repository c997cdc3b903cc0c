// A part of a file that several processes write, each its own: flushed in small pieces as it comes in, so that nobody
// is held up, and read again from the disk. Errors are Error(kUnavailable) that names the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "core/base/unique_fd.h"

namespace convoy::worker {

// Makes the file: `beginning`, and room for `bytes` altogether, taken now where the file system can. Flushes nothing.
void make_file(const std::string& path, std::string_view beginning, std::int64_t bytes);

// Gives an empty file that is there its contents, at once. Nobody reads them before they are whole.
void fill_file(const std::string& path, std::string_view contents);
// Throws Error(kDataLoss) naming the file unless it begins so.
void check_beginning(const std::string& path, std::string_view expected);

class FileRange {
 public:
  // Of a file that is there, from `begin` on.
  FileRange(std::string path, std::int64_t begin);

  const std::string& path() const { return path_; }
  void write(std::span<const std::byte> bytes);
  // Waits until all of it is on the disk.
  void flush();
  // Hands over what was written, in pieces, as it lies on the disk where the system lets go of what it has cached.
  void read_back(const std::function<void(std::span<const std::byte>)>& on_piece) const;

 private:
  void flush_pieces();
  void flush_piece(std::int64_t begin, unsigned how);

  std::string path_;
  UniqueFd file_;
  std::int64_t begin_ = 0;
  std::int64_t end_ = 0;          // of what was written
  std::int64_t flushing_to_ = 0;  // whose way to the disk has begun
};

}  // namespace convoy::worker
