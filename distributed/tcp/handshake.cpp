#include "distributed/tcp/handshake.h"

#include <sodium.h>

#include <string_view>

#include "core/base/error.h"

namespace convoy::distributed {
namespace {

constexpr std::uint32_t kMagic = 0x43564f54;  // "CVOT"
constexpr std::uint32_t kVersion = 1;

// HMAC-SHA-256 of a purpose and parts of fixed sizes: no signature can serve for another purpose.
class Signer {
 public:
  Signer(const std::string& token, std::string_view purpose) {
    crypto_auth_hmacsha256_init(&state_, reinterpret_cast<const unsigned char*>(token.data()), token.size());
    add(purpose.data(), purpose.size());
  }
  Signer& add(const void* data, std::size_t bytes) {
    crypto_auth_hmacsha256_update(&state_, static_cast<const unsigned char*>(data), bytes);
    return *this;
  }
  Signature finish() {
    Signature signature;
    static_assert(signature.size() == crypto_auth_hmacsha256_BYTES);
    crypto_auth_hmacsha256_final(&state_, signature.data());
    return signature;
  }

 private:
  crypto_auth_hmacsha256_state state_;
};

Signature sign(const TcpHello& hello, const std::string& token) {
  return Signer(token, "convoy hello").add(&hello, offsetof(TcpHello, signature)).finish();
}

Signature sign(const TcpAnswer& answer, const TcpHello& hello, const std::string& token) {
  return Signer(token, "convoy answer")
      .add(&hello, sizeof(hello))
      .add(&answer, offsetof(TcpAnswer, signature))
      .finish();
}

Nonce make_nonce() {
  if (sodium_init() < 0) fail(ErrorCode::kUnavailable, "libsodium did not start: no source of random numbers");
  Nonce nonce;
  randombytes_buf(nonce.data(), nonce.size());
  return nonce;
}

}  // namespace

bool same(const Signature& a, const Signature& b) { return sodium_memcmp(a.data(), b.data(), a.size()) == 0; }

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
  hello.nonce = make_nonce();
  hello.signature = sign(hello, meeting.token);
  return hello;
}

Refusal judge(const TcpHello& hello, const TcpMeeting& meeting) {
  if (hello.magic != kMagic || hello.version != kVersion) return Refusal::kVersion;
  if (!same(hello.signature, sign(hello, meeting.token))) return Refusal::kToken;
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
  answer.nonce = make_nonce();
  // Whoever does not know the token gets nothing that was made from it.
  if (refusal != Refusal::kVersion && refusal != Refusal::kToken) answer.signature = sign(answer, hello, meeting.token);
  return answer;
}

Refusal judge(const TcpAnswer& answer, const TcpHello& hello, const TcpMeeting& meeting) {
  if (answer.magic != kMagic) return Refusal::kVersion;
  if (answer.refusal == Refusal::kVersion || answer.refusal == Refusal::kToken) return answer.refusal;
  if (!same(answer.signature, sign(answer, hello, meeting.token))) return Refusal::kToken;
  if (answer.refusal == Refusal::kNone && answer.ballot() != meeting.ballot) return Refusal::kBallot;
  return Refusal::kNone;
}

Signature make_proof(const TcpHello& hello, const TcpAnswer& answer, const TcpMeeting& meeting) {
  return Signer(meeting.token, "convoy proof").add(&hello, sizeof(hello)).add(&answer, sizeof(answer)).finish();
}

}  // namespace convoy::distributed
