#include "cluster/curve.h"

#include <zmq.h>

#include <array>
#include <charconv>
#include <cstdint>

#include "cluster/link.h"
#include "core/base/error.h"
#include "core/base/uuid.h"

namespace convoy::cluster {

namespace {

constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kKeyText = 41;  // Z85 and its terminating zero

using Key = std::array<std::uint8_t, kKeyBytes>;

Key secret_of(std::string_view token) {
  Key key{};
  bool valid = token.size() == 2 * kKeyBytes;
  for (std::size_t i = 0; valid && i < kKeyBytes; ++i) {
    const char* begin = token.data() + 2 * i;
    const auto [end, error] = std::from_chars(begin, begin + 2, key[i], 16);
    valid = error == std::errc() && end == begin + 2;
  }
  if (!valid) fail(ErrorCode::kInvalidArgument, "a run's token must be {} hex digits", 2 * kKeyBytes);
  return key;
}

KeyPair pair_of(const Key& secret) {
  std::array<char, kKeyText> secret_key{};
  std::array<char, kKeyText> public_key{};
  zmq_z85_encode(secret_key.data(), secret.data(), secret.size());
  if (zmq_curve_public(public_key.data(), secret_key.data()) != 0) {
    fail(ErrorCode::kUnavailable, "cannot derive a CURVE key: {}", zmq_strerror(zmq_errno()));
  }
  return {public_key.data(), secret_key.data()};
}

}  // namespace

std::string make_token() { return random_hex(kKeyBytes); }

KeyPair fresh_key_pair() {
  std::array<char, kKeyText> public_key{};
  std::array<char, kKeyText> secret_key{};
  if (zmq_curve_keypair(public_key.data(), secret_key.data()) != 0) {
    fail(ErrorCode::kUnavailable, "cannot make a CURVE key pair: {}", zmq_strerror(zmq_errno()));
  }
  return {public_key.data(), secret_key.data()};
}

KeyPair key_pair_of_token(std::string_view token) { return pair_of(secret_of(token)); }

// The secret is what the (one-way) way from a secret to its public key makes of the token, bent so that it is not the
// links' pair once more.
KeyPair hub_key_pair_of_token(std::string_view token) {
  Key key = secret_of(token);
  for (std::uint8_t& byte : key) byte ^= 0x5a;
  const std::string once = pair_of(key).public_key;
  zmq_z85_decode(key.data(), once.c_str());
  return pair_of(key);
}

}  // namespace convoy::cluster
