// XXH3 hashes: checksums of messages and chunks, and the hashes of parameters and state that runs are compared by.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace convoy {

std::uint64_t xxh3_64(std::span<const std::byte> bytes);

// The same over bytes that arrive in pieces; how they are cut does not matter.
class Xxh3Hasher64 {
 public:
  Xxh3Hasher64();
  ~Xxh3Hasher64();
  Xxh3Hasher64(Xxh3Hasher64&&) noexcept;
  Xxh3Hasher64& operator=(Xxh3Hasher64&&) noexcept;

  void update(std::span<const std::byte> bytes);
  // The hash of everything since the beginning, or the last reset().
  std::uint64_t value() const;
  void reset();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// XXH3-128 over bytes that arrive in pieces; how they are cut does not matter.
class Xxh3Hasher128 {
 public:
  Xxh3Hasher128();
  ~Xxh3Hasher128();
  Xxh3Hasher128(Xxh3Hasher128&&) noexcept;
  Xxh3Hasher128& operator=(Xxh3Hasher128&&) noexcept;

  void update(std::span<const std::byte> bytes);
  // The hash of everything so far, 32 lower-case hex digits as `xxh128sum` prints them. More may follow.
  std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace convoy
