#include "core/base/uuid.h"

#include <sys/random.h>

#include <cerrno>
#include <span>
#include <vector>

#include "core/base/error.h"

namespace convoy {
namespace {

void fill_random(std::span<std::uint8_t> bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = getrandom(bytes.data() + done, bytes.size() - done, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(ErrorCode::kUnavailable, "getrandom: {}", errno_text(errno));
    done += static_cast<std::size_t>(got);
  }
}

std::string to_hex(std::span<const std::uint8_t> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(bytes.size() * 2);
  for (const std::uint8_t byte : bytes) {
    hex.push_back(kDigits[byte >> 4]);
    hex.push_back(kDigits[byte & 15]);
  }
  return hex;
}

int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

}  // namespace

Uuid Uuid::random() {
  Uuid uuid;
  fill_random(uuid.bytes);
  return uuid;
}

Uuid Uuid::parse(std::string_view text) {
  Uuid uuid;
  std::size_t digits = 0;
  for (const char c : text) {
    if (c == '-') continue;
    const int value = hex_value(c);
    if (value < 0 || digits == 32) fail(ErrorCode::kInvalidArgument, "'{}' is not a UUID (32 hex digits)", text);
    uuid.bytes[digits / 2] = static_cast<std::uint8_t>(uuid.bytes[digits / 2] << 4 | value);
    ++digits;
  }
  if (digits != 32) fail(ErrorCode::kInvalidArgument, "'{}' is not a UUID (32 hex digits)", text);
  return uuid;
}

std::string Uuid::to_string() const {
  std::string text = to_hex(bytes);
  for (const std::size_t dash : {8, 13, 18, 23}) text.insert(dash, 1, '-');
  return text;
}

std::string random_hex(int bytes) {
  std::vector<std::uint8_t> raw(static_cast<std::size_t>(bytes));
  fill_random(raw);
  return to_hex(raw);
}

}  // namespace convoy
