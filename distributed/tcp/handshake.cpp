#include "distributed/tcp/handshake.h"

#include <cstddef>
#include <span>

namespace convoy::distributed {
namespace {

constexpr std::uint32_t kMagic = 0x43564f54;  // "CVOT"
constexpr std::uint32_t kVersion = 1;

template <typename T>
std::span<const std::byte> bytes_of(const T& message) {
  return std::as_bytes(std::span(&message, 1));
}

Signature sign(const TcpHello& hello, const std::string& token) {
  return cluster::sign(token, "convoy hello", {bytes_of(hello).first(offsetof(TcpHello, signature))});
}

Signature sign(const TcpAnswer& answer, const TcpHello& hello, const std::string& token) {
  return cluster::sign(token, "convoy answer",
                       {bytes_of(hello), bytes_of(answer).first(offsetof(TcpAnswer, signature))});
}

}  // namespace

TcpHello make_hello(const TcpMeeting& meeting, std::int32_t to, TcpChannel channel) {
  TcpHello hello;
  hello.magic = kMagic;
  hello.version = kVersion;
  hello.term = meeting.ballot.term;
  hello.attempt = meeting.ballot.attempt;
  hello.channel = channel;
  hello.from = meeting.rank;
  hello.to = to;
  hello.size = static_cast<std::int32_t>(meeting.members.size());
  hello.from_uuid = meeting.members[static_cast<std::size_t>(meeting.rank)].uuid;
  hello.to_uuid = meeting.members[static_cast<std::size_t>(to)].uuid;
  hello.nonce = cluster::make_nonce();
  hello.signature = sign(hello, meeting.token);
  return hello;
}

Refusal judge(const TcpHello& hello, const TcpMeeting& meeting) {
  if (hello.magic != kMagic || hello.version != kVersion) return Refusal::kVersion;
  if (!cluster::same(hello.signature, sign(hello, meeting.token))) return Refusal::kToken;
  if (hello.ballot() != meeting.ballot) return Refusal::kBallot;
  const auto size = static_cast<std::int32_t>(meeting.members.size());
  if (hello.size != size || hello.to != meeting.rank || hello.from < 0 || hello.from >= size ||
      hello.from <= meeting.rank || static_cast<std::uint32_t>(hello.channel) >= kTcpChannels ||
      hello.from_uuid != meeting.members[static_cast<std::size_t>(hello.from)].uuid ||
      hello.to_uuid != meeting.members[static_cast<std::size_t>(hello.to)].uuid)
    return Refusal::kRank;
  return Refusal::kNone;
}

TcpAnswer make_answer(const TcpHello& hello, const TcpMeeting& meeting, Refusal refusal) {
  TcpAnswer answer;
  answer.magic = kMagic;
  answer.refusal = refusal;
  answer.term = meeting.ballot.term;
  answer.attempt = meeting.ballot.attempt;
  answer.nonce = cluster::make_nonce();
  // Whoever does not know the token gets nothing that was made from it.
  if (refusal != Refusal::kVersion && refusal != Refusal::kToken) answer.signature = sign(answer, hello, meeting.token);
  return answer;
}

Refusal judge(const TcpAnswer& answer, const TcpHello& hello, const TcpMeeting& meeting) {
  if (answer.magic != kMagic) return Refusal::kVersion;
  if (answer.refusal == Refusal::kVersion || answer.refusal == Refusal::kToken) return answer.refusal;
  if (!cluster::same(answer.signature, sign(answer, hello, meeting.token))) return Refusal::kToken;
  if (answer.refusal == Refusal::kNone && answer.ballot() != meeting.ballot) return Refusal::kBallot;
  return Refusal::kNone;
}

Signature make_proof(const TcpHello& hello, const TcpAnswer& answer, const TcpMeeting& meeting) {
  return cluster::sign(meeting.token, "convoy proof", {bytes_of(hello), bytes_of(answer)});
}

}  // namespace convoy::distributed
