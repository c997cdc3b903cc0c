// Proofs that somebody knows the run's token that do not give it away: HMAC-SHA-256 under the token.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>

namespace convoy::cluster {

using Signature = std::array<std::uint8_t, 32>;
using Nonce = std::array<std::uint8_t, 32>;

Nonce make_nonce();  // throws Error(kUnavailable)

// Of parts of fixed sizes. The purpose keeps what was signed for one from serving another.
Signature sign(std::string_view token, std::string_view purpose,
               std::initializer_list<std::span<const std::byte>> parts);

bool same(const Signature& a, const Signature& b);  // takes as long whatever they are

}  // namespace convoy::cluster
