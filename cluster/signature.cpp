#include "cluster/signature.h"

#include <sodium.h>

#include "core/base/error.h"

namespace convoy::cluster {

Nonce make_nonce() {
  if (sodium_init() < 0) fail(ErrorCode::kUnavailable, "libsodium did not start: no source of random numbers");
  Nonce nonce;
  randombytes_buf(nonce.data(), nonce.size());
  return nonce;
}

Signature sign(std::string_view token, std::string_view purpose,
               std::initializer_list<std::span<const std::byte>> parts) {
  static_assert(crypto_auth_hmacsha256_BYTES == std::tuple_size_v<Signature>);
  crypto_auth_hmacsha256_state state;
  const auto bytes = [](const auto* data) { return reinterpret_cast<const unsigned char*>(data); };
  crypto_auth_hmacsha256_init(&state, bytes(token.data()), token.size());
  crypto_auth_hmacsha256_update(&state, bytes(purpose.data()), purpose.size());
  for (const auto& part : parts) crypto_auth_hmacsha256_update(&state, bytes(part.data()), part.size());
  Signature signature;
  crypto_auth_hmacsha256_final(&state, signature.data());
  return signature;
}

bool same(const Signature& a, const Signature& b) { return sodium_memcmp(a.data(), b.data(), a.size()) == 0; }

}  // namespace convoy::cluster
