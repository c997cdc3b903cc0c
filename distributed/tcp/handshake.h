// How two workers convince each other over TCP that they know the run's token and mean the same epoch, without the
// token, or anything that helps to guess it, on the wire:
//
//   connector → listener   TcpHello   who I am, whom I want, the ballot, a nonce; signed
//   listener → connector   TcpAnswer  a nonce; signed over the hello too, so that it answers no other
//   connector → listener   proof      signed over both
//
// Signatures are HMAC-SHA-256 under the token. A hello that somebody recorded gets an answer when it is played again,
// but no proof can be made for it.
#pragma once

#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <type_traits>
#include <vector>

#include "cluster/signature.h"
#include "core/base/ballot.h"
#include "core/base/uuid.h"
#include "distributed/refusal.h"

namespace convoy::distributed {

struct TcpMember {
  std::string place;  // of its listener: "10.0.0.7:41234"
  std::string who;    // for messages: "pid 4242 on node7"
  Uuid uuid;
};

// One meeting of all members of an epoch, as one of them sees it.
struct TcpMeeting {
  Ballot ballot;
  std::string token;  // of the run
  std::int32_t rank = 0;
  std::vector<TcpMember> members;  // in rank order, this worker among them
  std::chrono::milliseconds timeout{30'000};
  std::chrono::milliseconds silence{5'000};   // of a host, after which it cannot be reached
  std::chrono::milliseconds patience{5'000};  // with somebody who connects and does not say who it is
  std::stop_token stop{};                     // gives up waiting
  std::function<void(const Uuid&)> on_unreachable{};
};

// There are two connections between a pair of workers.
enum class TcpChannel : std::uint32_t {
  kData,   // what collectives exchange
  kWatch,  // next to nothing: that the other side is alive, aborts or leaves
};
inline constexpr std::size_t kTcpChannels = 2;

using cluster::Nonce;
using cluster::Signature;

struct TcpHello {
  std::uint32_t magic = 0;
  std::uint32_t version = 0;
  std::uint64_t term = 0;
  std::uint32_t attempt = 0;
  TcpChannel channel{};
  std::int32_t from = 0;
  std::int32_t to = 0;
  std::int32_t size = 0;
  std::uint32_t unused = 0;
  Uuid from_uuid;
  Uuid to_uuid;
  Nonce nonce{};
  Signature signature{};  // of all before it

  Ballot ballot() const { return {term, attempt}; }
};

struct TcpAnswer {
  std::uint32_t magic = 0;
  Refusal refusal = Refusal::kNone;
  std::uint64_t term = 0;
  std::uint32_t attempt = 0;
  std::uint32_t unused = 0;
  Nonce nonce{};
  Signature signature{};  // of the hello and all before it

  Ballot ballot() const { return {term, attempt}; }
};

// They travel as they lie in memory.
static_assert(std::endian::native == std::endian::little);
static_assert(std::has_unique_object_representations_v<TcpHello> && std::is_trivially_copyable_v<TcpHello>);
static_assert(std::has_unique_object_representations_v<TcpAnswer> && std::is_trivially_copyable_v<TcpAnswer>);

TcpHello make_hello(const TcpMeeting& meeting, std::int32_t to, TcpChannel channel);
// Whether the hello is one that `meeting` expects.
Refusal judge(const TcpHello& hello, const TcpMeeting& meeting);

TcpAnswer make_answer(const TcpHello& hello, const TcpMeeting& meeting, Refusal refusal);
// Why the answer to `hello` is not to be believed; kNone where it is, be it a refusal or not. A stranger's refusal is
// never believed.
Refusal judge(const TcpAnswer& answer, const TcpHello& hello, const TcpMeeting& meeting);

Signature make_proof(const TcpHello& hello, const TcpAnswer& answer, const TcpMeeting& meeting);

}  // namespace convoy::distributed
