// What a donor and a fetch on the same host say to each other on an abstract Unix socket. Both are the same program
// under the same user, so plain structures travel, and the bytes as they are: a hello, then questions; each is answered
// by a header, the bytes and a verdict on them.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include "cluster/messages.h"
#include "core/base/ballot.h"
#include "core/base/uuid.h"

namespace convoy::worker {

inline constexpr std::uint32_t kLocalMagic = 0x43564456;  // "CVDV"
inline constexpr std::uint32_t kLocalVersion = 1;
inline constexpr std::size_t kLocalTokenBytes = 64;

inline std::string local_donor_name(const Uuid& donor) { return "convoy-donor-" + donor.to_string(); }

struct LocalHello {
  std::uint32_t magic = kLocalMagic;
  std::uint32_t version = kLocalVersion;
  Uuid donor;
  char token[kLocalTokenBytes] = {};

  // Tokens that are too long do not fit any run.
  LocalHello() = default;
  LocalHello(const Uuid& to, const std::string& run_token) : donor(to) {
    std::memcpy(token, run_token.data(), run_token.size() < kLocalTokenBytes ? run_token.size() : kLocalTokenBytes);
  }
  // Takes as long for a wrong token as for the right one.
  bool operator==(const LocalHello& other) const {
    unsigned difference = 0;
    for (std::size_t i = 0; i < kLocalTokenBytes; ++i) difference |= static_cast<unsigned>(token[i] ^ other.token[i]);
    return difference == 0 && magic == other.magic && version == other.version && donor == other.donor;
  }
};

struct LocalQuestion {
  std::uint64_t term = 0;
  std::uint32_t attempt = 0;
  std::uint32_t what = 0;
  std::int64_t step = 0;
  std::int64_t offset = 0;
  std::int64_t bytes = 0;

  Ballot ballot() const { return {.term = term, .attempt = attempt}; }
  cluster::Pull pull() const {
    return {.what = static_cast<cluster::Pull::What>(what), .step = step, .offset = offset, .bytes = bytes};
  }
};

struct LocalHeader {  // see cluster::Piece
  std::int64_t offset = 0;
  std::int64_t total = 0;
  std::int64_t bytes = 0;  // that follow
  std::uint64_t checksum = 0;
};

struct LocalVerdict {
  std::int64_t total = 0;  // negative: what was sent is not offered any more
};

// What of `value` comes after `done` bytes.
template <class Value>
std::span<const std::byte> rest_of(const Value& value, std::int64_t done) {
  return std::as_bytes(std::span(&value, 1)).subspan(static_cast<std::size_t>(done));
}

// The places that one system call moves bytes from, or to.
class Places {
 public:
  // False: there is no room for another one.
  bool add(std::span<const std::byte> bytes) {
    places_[count_++] = {.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()};
    return !full();
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
