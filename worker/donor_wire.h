// What a fetch and a donor say to each other, on a Unix socket or over TCP. Both are the same build, so plain
// structures travel, and the bytes as they are:
//
//   fetch → donor   hello      whom it wants, who it is, and a nonce
//   donor → fetch   challenge  a nonce, signed with the run's token over the hello too
//   fetch → donor   proof      signed over both, and then questions, as many as it likes
//   donor → fetch   for each question a header, the bytes, and a verdict on them
//
// On one host a fetch may be allowed to read the donor's memory (process_vm_readv), which takes neither the donor's
// time nor its turn on a busy core: then it asks where the bytes lie, takes them, and asks for no bytes: only the
// verdict.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>

#include "cluster/signature.h"
#include "core/base/ballot.h"
#include "core/base/uuid.h"
#include "worker/pull.h"

namespace convoy::worker {

// The abstract Unix socket of a donor.
inline std::string donor_socket(const Uuid& donor) { return "convoy-donor-" + donor.to_string(); }

struct DonorHello {
  std::uint32_t magic = 0x43564456;  // "CVDV"
  std::uint32_t version = 1;
  Uuid donor{};
  Uuid asker{};
  cluster::Nonce nonce{};
};

struct DonorChallenge {
  cluster::Nonce nonce{};
  std::uint64_t nonce_address = 0;  // in the donor's memory, to try whether it can be read; 0: not told
  cluster::Signature signature{};
};

struct DonorProof {
  cluster::Signature signature{};
};

struct DonorQuestion {  // a Pull
  std::uint64_t term = 0;
  std::uint32_t attempt = 0;
  std::uint16_t what = 0;
  std::uint16_t where = 0;  // 1: places are wanted, not bytes
  std::int64_t step = 0;
  std::int64_t offset = 0;
  std::int64_t bytes = 0;

  Ballot ballot() const { return {.term = term, .attempt = attempt}; }
  Pull pull() const { return {.what = static_cast<Pull::What>(what), .step = step, .offset = offset, .bytes = bytes}; }
};

struct DonorHeader {
  std::int64_t offset = 0;
  std::int64_t total = 0;   // bytes that there are altogether, or kNeverHere, kNotHereYet
  std::int64_t bytes = 0;   // that follow, or lie in the places
  std::int64_t places = 0;  // that follow instead of the bytes
  std::uint64_t checksum = 0;
};

struct DonorPlace {
  std::uint64_t address = 0;
  std::uint64_t bytes = 0;
};

struct DonorVerdict {
  std::int64_t total = 0;  // negative: what was sent is not offered any more
};

// They travel as they lie in memory.
static_assert(std::has_unique_object_representations_v<DonorHello> &&
              std::has_unique_object_representations_v<DonorChallenge> &&
              std::has_unique_object_representations_v<DonorQuestion> &&
              std::has_unique_object_representations_v<DonorHeader>);

inline constexpr std::int64_t kMaxPlacedBytes = 64 << 20;  // that one question is told the places of

template <class Value>
std::span<const std::byte> bytes_of(const Value& value) {
  return std::as_bytes(std::span(&value, 1));
}

inline cluster::Signature sign_challenge(const std::string& token, const DonorHello& hello,
                                         const DonorChallenge& challenge) {
  return cluster::sign(token, "convoy donor challenge",
                       {bytes_of(hello), bytes_of(challenge.nonce), bytes_of(challenge.nonce_address)});
}
inline cluster::Signature sign_proof(const std::string& token, const DonorHello& hello,
                                     const DonorChallenge& challenge) {
  return cluster::sign(token, "convoy donor proof", {bytes_of(hello), bytes_of(challenge)});
}

// The places that one system call moves bytes from, or to.
class Places {
 public:
  // False: there is no room for another one.
  bool add(std::span<const std::byte> bytes) {
    places_[count_++] = {.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()};
    return !full();
  }
  // What comes after the first `done` bytes of `value`.
  template <class Value>
  void add_rest(const Value& value, std::int64_t done) {
    add(bytes_of(value).subspan(static_cast<std::size_t>(done)));
  }
  bool full() const { return count_ == places_.size(); }
  msghdr message() {
    msghdr message{};
    message.msg_iov = places_.data();
    message.msg_iovlen = count_;
    return message;
  }

 private:
  std::array<iovec, 64> places_;
  std::size_t count_ = 0;
};

}  // namespace convoy::worker
