#include "distributed/tcp/handshake.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <string_view>

#include "tests/support/mutations.h"

namespace convoy::distributed {
namespace {

class HandshakeTest : public ::testing::Test {
 protected:
  // Rank 1 of 2 connects to rank 0.
  TcpMeeting meeting(std::int32_t rank) const {
    return {.ballot = {3, 4}, .token = "secret", .rank = rank, .members = members_};
  }
  const std::vector<TcpMember> members_ = {{"127.0.0.1:1", "a", Uuid::random()}, {"127.0.0.1:2", "b", Uuid::random()}};
  const TcpMeeting listener_ = meeting(0);
  const TcpMeeting connector_ = meeting(1);
};

TEST_F(HandshakeTest, MembersOfOneEpochBelieveEachOther) {
  const TcpHello hello = make_hello(connector_, 0, TcpChannel::kWatch);
  EXPECT_EQ(judge(hello, listener_), Refusal::kNone);
  const TcpAnswer answer = make_answer(hello, listener_, Refusal::kNone);
  EXPECT_EQ(judge(answer, hello, connector_), Refusal::kNone);
  EXPECT_TRUE(cluster::same(make_proof(hello, answer, connector_), make_proof(hello, answer, listener_)));
}

TEST_F(HandshakeTest, EveryBitOfAHelloIsSigned) {
  for (std::size_t byte = 0; byte < sizeof(TcpHello); ++byte) {
    TcpHello hello = make_hello(connector_, 0, TcpChannel::kData);
    reinterpret_cast<unsigned char*>(&hello)[byte] ^= 0x10;
    EXPECT_NE(judge(hello, listener_), Refusal::kNone) << "byte " << byte;
  }
}

TEST_F(HandshakeTest, EveryBitOfAnAnswerIsSigned) {
  const TcpHello hello = make_hello(connector_, 0, TcpChannel::kData);
  for (std::size_t byte = 0; byte < sizeof(TcpAnswer); ++byte) {
    TcpAnswer answer = make_answer(hello, listener_, Refusal::kNone);
    reinterpret_cast<unsigned char*>(&answer)[byte] ^= 0x10;
    EXPECT_NE(judge(answer, hello, connector_), Refusal::kNone) << "byte " << byte;
  }
}

TEST_F(HandshakeTest, OthersAreRefusedForWhatDiffers) {
  const auto refused = [&](const std::function<void(TcpMeeting&)>& change) {
    TcpMeeting other = connector_;
    change(other);
    return judge(make_hello(other, 0, TcpChannel::kData), listener_);
  };
  EXPECT_EQ(refused([](TcpMeeting& other) { other.token = "guess"; }), Refusal::kToken);
  EXPECT_EQ(refused([](TcpMeeting& other) { other.ballot.attempt = 5; }), Refusal::kBallot);
  EXPECT_EQ(refused([](TcpMeeting& other) { other.ballot.term = 2; }), Refusal::kBallot);
  EXPECT_EQ(refused([](TcpMeeting& other) { other.members[1].uuid = Uuid::random(); }), Refusal::kRank);
  EXPECT_EQ(refused([](TcpMeeting& other) { other.members[0].uuid = Uuid::random(); }), Refusal::kRank);
  EXPECT_EQ(refused([](TcpMeeting& other) { other.members.push_back(other.members[0]); }), Refusal::kRank);
  EXPECT_EQ(refused([](TcpMeeting& other) { other.rank = 0; }), Refusal::kRank);
}

TEST_F(HandshakeTest, ARecordedHelloNeedsAProofThatNobodyElseCanMake) {
  const TcpHello hello = make_hello(connector_, 0, TcpChannel::kData);
  const TcpAnswer first = make_answer(hello, listener_, Refusal::kNone);
  const TcpAnswer second = make_answer(hello, listener_, Refusal::kNone);
  EXPECT_FALSE(cluster::same(make_proof(hello, first, connector_), make_proof(hello, second, listener_)));
  // Nor is an answer good for another hello.
  EXPECT_EQ(judge(first, make_hello(connector_, 0, TcpChannel::kData), connector_), Refusal::kToken);
}

TEST_F(HandshakeTest, NothingSecretTravelsToAStranger) {
  TcpMeeting stranger = connector_;
  stranger.token = "guess";
  const TcpHello hello = make_hello(stranger, 0, TcpChannel::kData);
  const TcpAnswer answer = make_answer(hello, listener_, judge(hello, listener_));
  EXPECT_EQ(answer.signature, Signature{});
  const std::string_view bytes(reinterpret_cast<const char*>(&answer), sizeof(answer));
  EXPECT_EQ(bytes.find(listener_.token), std::string_view::npos);
  EXPECT_EQ(judge(answer, hello, stranger), Refusal::kToken);
}

TEST_F(HandshakeTest, DamagedMessagesAreRefused) {
  const TcpHello hello = make_hello(connector_, 0, TcpChannel::kData);
  const TcpAnswer answer = make_answer(hello, listener_, Refusal::kNone);
  const auto bytes_of = [](const auto& message) {
    return std::string(reinterpret_cast<const char*>(&message), sizeof message);
  };
  testing_support::Mutations hellos({bytes_of(hello)});
  testing_support::Mutations answers({bytes_of(answer)});
  for (std::int64_t i = 0; i < testing_support::Mutations::rounds(5'000); ++i) {
    std::string bytes = hellos.next();
    bytes.resize(sizeof(TcpHello));
    TcpHello damaged;
    std::memcpy(&damaged, bytes.data(), bytes.size());
    ASSERT_EQ(judge(damaged, listener_) == Refusal::kNone, bytes == bytes_of(hello));
    bytes = answers.next();
    bytes.resize(sizeof(TcpAnswer));
    TcpAnswer damaged_answer;
    std::memcpy(&damaged_answer, bytes.data(), bytes.size());
    ASSERT_EQ(judge(damaged_answer, hello, connector_) == Refusal::kNone, bytes == bytes_of(answer));
  }
}

}  // namespace
}  // namespace convoy::distributed
