#include "cluster/chain.h"

#include <array>
#include <span>

#include "core/base/hash.h"

namespace convoy::cluster {

std::uint64_t chain_after(std::uint64_t chain, std::int64_t step, std::uint64_t checksum) {
  const std::array<std::uint64_t, 3> words{chain, static_cast<std::uint64_t>(step), checksum};
  return xxh3_64(std::as_bytes(std::span(words)));
}

std::uint64_t chain_from(std::int64_t step) { return chain_after(0, step, 0); }

}  // namespace convoy::cluster
