// The one message that two workers exchange when they meet: who I am, whom I want to meet, and a descriptor.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/base/ballot.h"
#include "core/base/unique_fd.h"
#include "core/base/uuid.h"
#include "distributed/local/rendezvous.h"
#include "distributed/refusal.h"

namespace convoy::distributed {

inline constexpr std::size_t kTokenBytes = 64;

struct Hello {
  std::uint32_t magic = 0;
  std::uint32_t version = 0;
  Refusal refusal = Refusal::kNone;  // a refusal says nothing but the ballot
  std::uint32_t attempt = 0;
  std::uint64_t term = 0;
  std::int32_t from = 0;
  std::int32_t to = 0;
  std::int32_t size = 0;
  Uuid from_uuid;
  Uuid to_uuid;
  char token[kTokenBytes] = {};
  Greeting greeting;

  Ballot ballot() const { return {term, attempt}; }
};

Hello make_hello(const Meeting& meeting, std::int32_t to);
Hello make_refusal(const Meeting& meeting, Refusal refusal);
// Whether `hello` is what `meeting` expects; `expected_from` if its sender is known.
Refusal judge(const Hello& hello, const Meeting& meeting, std::optional<std::int32_t> expected_from);

struct ReceivedHello {
  Hello hello;
  UniqueFd segment;
};
// Sends on a SOCK_SEQPACKET socket, with `descriptor` unless it is -1; false if the peer is gone.
bool send_hello(int socket, const Hello& hello, int descriptor) noexcept;
// What has arrived; nothing if the peer closed the connection or sent something else.
std::optional<ReceivedHello> receive_hello(int socket) noexcept;

// The process at the other end, if it runs under our user; nothing for a stranger.
std::optional<std::int32_t> peer_pid(int socket) noexcept;

}  // namespace convoy::distributed
