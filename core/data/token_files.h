// Tokens in files, one file after the other, memory-mapped and addressed as one sequence.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/mapped_file.h"

namespace convoy {

// Immutable once all files are appended; then any thread.
class TokenFiles {
 public:
  // Tokens are in [0, vocabulary).
  explicit TokenFiles(std::int64_t vocabulary) : vocabulary_(vocabulary) {}

  // Appends the bytes of `file` from `offset` to the end as little-endian unsigned numbers of `width` = 1, 2 or 4
  // bytes; what fills no number is left out. `path` is what messages call it.
  void append(MappedFile file, std::string path, std::int64_t offset, int width);

  std::int64_t size() const { return ends_.empty() ? 0 : ends_.back(); }
  std::int64_t vocabulary() const { return vocabulary_; }

  // Writes tokens [begin, begin + count) ⊂ [0, size()). Throws Error(kUsage) that names the file and the place of a
  // token outside the vocabulary.
  void read(std::int64_t begin, std::int64_t count, std::int32_t* tokens) const;

  // XXH3-128 of the files' tokens: of all bytes up to 1 GiB; of more, of their number and of 16,384 pieces of 64 KiB
  // spread evenly over them.
  std::string digest() const;

 private:
  struct File {
    MappedFile mapped;
    std::string path;
    std::int64_t offset;  // of the first token, bytes
    int width;
  };
  // The bytes of a file that are tokens.
  static std::string_view payload(const File& file);

  std::vector<File> files_;         // none is empty
  std::vector<std::int64_t> ends_;  // of each file, in the sequence
  std::int64_t vocabulary_;
};

}  // namespace convoy
