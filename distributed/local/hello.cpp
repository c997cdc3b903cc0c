#include "distributed/local/hello.h"

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/base/error.h"

namespace convoy::distributed {
namespace {

constexpr std::uint32_t kMagic = 0x43564f59;  // "CVOY"
constexpr std::uint32_t kVersion = 1;

static_assert(std::is_trivially_copyable_v<Hello>);

bool same_token(const char* a, const char* b) {
  unsigned difference = 0;
  for (std::size_t i = 0; i < kTokenBytes; ++i) difference |= static_cast<unsigned>(a[i] ^ b[i]);
  return difference == 0;
}

void fill_token(char* field, const std::string& token) {
  if (token.size() > kTokenBytes)
    fail(ErrorCode::kInvalidArgument, "a run's token of {} characters: expected at most {}", token.size(), kTokenBytes);
  std::memcpy(field, token.data(), token.size());
}

Hello header_of(const Meeting& meeting) {
  Hello hello;
  hello.magic = kMagic;
  hello.version = kVersion;
  hello.term = meeting.ballot.term;
  hello.attempt = meeting.ballot.attempt;
  return hello;
}

}  // namespace

Hello make_hello(const Meeting& meeting, std::int32_t to) {
  Hello hello = header_of(meeting);
  hello.from = meeting.rank;
  hello.to = to;
  hello.size = static_cast<std::int32_t>(meeting.members.size());
  hello.from_uuid = meeting.members[static_cast<std::size_t>(meeting.rank)].uuid;
  hello.to_uuid = meeting.members[static_cast<std::size_t>(to)].uuid;
  fill_token(hello.token, meeting.token);
  hello.greeting = meeting.greetings[static_cast<std::size_t>(to)];
  return hello;
}

Hello make_refusal(const Meeting& meeting, Refusal refusal) {
  Hello hello = header_of(meeting);
  hello.refusal = refusal;
  return hello;
}

Refusal judge(const Hello& hello, const Meeting& meeting, std::optional<std::int32_t> expected_from) {
  if (hello.magic != kMagic || hello.version != kVersion) return Refusal::kVersion;
  char token[kTokenBytes] = {};
  fill_token(token, meeting.token);
  if (!same_token(hello.token, token)) return Refusal::kToken;
  if (hello.ballot() != meeting.ballot) return Refusal::kBallot;
  const auto size = static_cast<std::int32_t>(meeting.members.size());
  if (hello.size != size || hello.to != meeting.rank || hello.from < 0 || hello.from >= size ||
      hello.from == meeting.rank || (expected_from && hello.from != *expected_from) ||
      hello.from_uuid != meeting.members[static_cast<std::size_t>(hello.from)].uuid ||
      hello.to_uuid != meeting.members[static_cast<std::size_t>(hello.to)].uuid)
    return Refusal::kRank;
  return Refusal::kNone;
}

bool send_hello(int socket, const Hello& hello, int descriptor) noexcept {
  iovec data{const_cast<Hello*>(&hello), sizeof(hello)};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (descriptor >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
  }
  ssize_t sent = 0;
  do {
    sent = sendmsg(socket, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent == static_cast<ssize_t>(sizeof(hello));
}

std::optional<ReceivedHello> receive_hello(int socket) noexcept {
  ReceivedHello received;
  iovec data{&received.hello, sizeof(received.hello)};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  ssize_t got = 0;
  do {
    got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return std::nullopt;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    // There is room for more than the one that belongs here; those before the last are closed again.
    for (std::size_t at = 0; at + sizeof(int) <= header->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
      int descriptor = -1;
      std::memcpy(&descriptor, CMSG_DATA(header) + at, sizeof(int));
      received.segment = UniqueFd(descriptor);
    }
  }
  if (got != static_cast<ssize_t>(sizeof(received.hello)) || (message.msg_flags & MSG_TRUNC) != 0) return std::nullopt;
  return received;
}

std::optional<std::int32_t> peer_pid(int socket) noexcept {
  ucred credentials{};
  socklen_t length = sizeof(credentials);
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0 || credentials.uid != geteuid())
    return std::nullopt;
  return credentials.pid;
}

}  // namespace convoy::distributed
