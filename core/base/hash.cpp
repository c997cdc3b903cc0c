#include "core/base/hash.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <new>

namespace convoy {

namespace {

struct Free {
  void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
};

std::unique_ptr<XXH3_state_t, Free> new_state() {
  std::unique_ptr<XXH3_state_t, Free> state(XXH3_createState());
  if (state == nullptr) throw std::bad_alloc();
  return state;
}

}  // namespace

struct Xxh3Hasher64::State {
  std::unique_ptr<XXH3_state_t, Free> xxh = new_state();
};

struct Xxh3Hasher128::State {
  std::unique_ptr<XXH3_state_t, Free> xxh = new_state();
};

std::uint64_t xxh3_64(std::span<const std::byte> bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

Xxh3Hasher64::Xxh3Hasher64() : state_(std::make_unique<State>()) { reset(); }
Xxh3Hasher64::~Xxh3Hasher64() = default;
Xxh3Hasher64::Xxh3Hasher64(Xxh3Hasher64&&) noexcept = default;
Xxh3Hasher64& Xxh3Hasher64::operator=(Xxh3Hasher64&&) noexcept = default;

void Xxh3Hasher64::update(std::span<const std::byte> bytes) {
  if (!bytes.empty()) XXH3_64bits_update(state_->xxh.get(), bytes.data(), bytes.size());
}

std::uint64_t Xxh3Hasher64::value() const { return XXH3_64bits_digest(state_->xxh.get()); }
void Xxh3Hasher64::reset() { XXH3_64bits_reset(state_->xxh.get()); }

Xxh3Hasher128::Xxh3Hasher128() : state_(std::make_unique<State>()) { XXH3_128bits_reset(state_->xxh.get()); }

Xxh3Hasher128::~Xxh3Hasher128() = default;
Xxh3Hasher128::Xxh3Hasher128(Xxh3Hasher128&&) noexcept = default;
Xxh3Hasher128& Xxh3Hasher128::operator=(Xxh3Hasher128&&) noexcept = default;

void Xxh3Hasher128::update(std::span<const std::byte> bytes) {
  if (!bytes.empty()) XXH3_128bits_update(state_->xxh.get(), bytes.data(), bytes.size());
}

std::string Xxh3Hasher128::hex() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(state_->xxh.get());
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

}  // namespace convoy
