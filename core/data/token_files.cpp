#include "core/data/token_files.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "core/base/error.h"
#include "core/base/hash.h"

namespace convoy {
namespace {

constexpr std::size_t kHashedWhole = std::size_t{1} << 30;  // bytes
constexpr std::size_t kPieces = 16384;
constexpr std::size_t kPiece = kHashedWhole / kPieces;

// Widens `count` numbers at `from`, which need not be aligned; returns the largest. 32 bits that are no int32 come out
// negative: the maximum is taken of what they were.
template <typename T>
std::uint32_t widen(const char* from, std::int64_t count, std::int32_t* to) {
  std::uint32_t largest = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, from + i * static_cast<std::int64_t>(sizeof(T)), sizeof(T));
    to[i] = static_cast<std::int32_t>(value);
    largest = std::max(largest, static_cast<std::uint32_t>(value));
  }
  return largest;
}

std::uint32_t widen(int width, const char* from, std::int64_t count, std::int32_t* to) {
  if (width == 1) return widen<std::uint8_t>(from, count, to);
  if (width == 2) return widen<std::uint16_t>(from, count, to);
  return widen<std::uint32_t>(from, count, to);
}

}  // namespace

std::string_view TokenFiles::payload(const File& file) {
  return file.mapped.bytes().substr(static_cast<std::size_t>(file.offset));
}

void TokenFiles::append(MappedFile file, std::string path, std::int64_t offset, int width) {
  const std::int64_t tokens = (static_cast<std::int64_t>(file.bytes().size()) - offset) / width;
  if (tokens < 1) return;
  ends_.push_back(size() + tokens);
  files_.push_back({std::move(file), std::move(path), offset, width});
}

void TokenFiles::read(std::int64_t begin, std::int64_t count, std::int32_t* tokens) const {
  auto index = static_cast<std::size_t>(std::upper_bound(ends_.begin(), ends_.end(), begin) - ends_.begin());
  while (count > 0) {
    const File& file = files_[index];
    const std::int64_t first = begin - (index == 0 ? 0 : ends_[index - 1]);
    const std::int64_t piece = std::min(count, ends_[index] - begin);
    const char* from = payload(file).data() + first * file.width;
    if (widen(file.width, from, piece, tokens) >= static_cast<std::uint64_t>(vocabulary_)) {
      const auto limit = static_cast<std::uint64_t>(vocabulary_);
      const auto* wrong = std::find_if(tokens, tokens + piece,
                                       [&](std::int32_t token) { return static_cast<std::uint32_t>(token) >= limit; });
      const std::int64_t place = first + (wrong - tokens);
      fail(ErrorCode::kUsage, "{}: token {} (at byte {}) is {}; expected less than the vocabulary of {}", file.path,
           place, file.offset + place * file.width, static_cast<std::uint32_t>(*wrong), vocabulary_);
    }
    tokens += piece;
    begin += piece;
    count -= piece;
    ++index;
  }
}

std::string TokenFiles::digest() const {
  Xxh3Hasher128 hasher;
  std::size_t total = 0;
  for (const File& file : files_) total += payload(file).size();
  if (total <= kHashedWhole) {
    for (const File& file : files_) hasher.update(std::as_bytes(std::span(payload(file))));
    return hasher.hex();
  }
  hasher.update(std::as_bytes(std::span(&total, 1)));
  std::size_t before = 0;  // bytes of the files already passed
  auto file = files_.begin();
  for (std::size_t i = 0; i < kPieces; ++i) {
    const std::size_t place = (total - kPiece) / (kPieces - 1) * i;
    while (place >= before + payload(*file).size()) before += payload(*file++).size();
    hasher.update(std::as_bytes(std::span(payload(*file).substr(place - before, kPiece))));
  }
  return hasher.hex();
}

}  // namespace convoy
