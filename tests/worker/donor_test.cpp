#include "worker/donor.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <future>
#include <string>

#include "cluster/address.h"
#include "cluster/link.h"
#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/base/unique_fd.h"
#include "distributed/local/abstract_address.h"
#include "tests/support/mutations.h"
#include "tests/worker/serving.h"
#include "worker/donor_wire.h"
#include "worker/transfer.h"

namespace convoy::worker {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// One connection to a donor, said and heard word by word.
class Peer {
 public:
  explicit Peer(UniqueFd socket) : socket_(std::move(socket)) {}

  template <class Value>
  void say(const Value& value) {
    (void)!send(socket_.get(), &value, sizeof value, MSG_NOSIGNAL);
  }
  void say(const std::string& text) { (void)!send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL); }
  template <class Value>
  Value hear() {
    Value value;
    hear(&value, sizeof value);
    return value;
  }
  std::vector<std::byte> hear_bytes(std::int64_t count) {
    std::vector<std::byte> bytes(static_cast<std::size_t>(count));
    hear(bytes.data(), bytes.size());
    return bytes;
  }
  // Whether the donor closes it; what it sends first is read.
  bool is_closed() {
    pollfd item{socket_.get(), POLLIN, 0};
    std::vector<std::byte> sink(1 << 20);
    while (poll(&item, 1, 20'000) == 1) {
      if (recv(socket_.get(), sink.data(), sink.size(), 0) <= 0) return true;
    }
    return false;
  }

  void introduce(const Uuid& donor, const std::string& token) {
    const DonorHello hello{.donor = donor, .asker = Uuid::random(), .nonce = cluster::make_nonce()};
    say(hello);
    const auto challenge = hear<DonorChallenge>();
    EXPECT_EQ(challenge.signature, sign_challenge(token, hello, challenge));
    say(DonorProof{.signature = sign_proof(token, hello, challenge)});
  }
  struct Answer {
    DonorHeader header;
    std::vector<std::byte> bytes;
    DonorVerdict verdict;
  };
  Answer ask(const DonorQuestion& question) {
    say(question);
    Answer answer;
    answer.header = hear<DonorHeader>();
    answer.bytes = hear_bytes(answer.header.bytes);
    answer.verdict = hear<DonorVerdict>();
    return answer;
  }

 private:
  void hear(void* data, std::size_t bytes) {
    auto* at = static_cast<std::byte*>(data);
    while (bytes > 0) {
      pollfd item{socket_.get(), POLLIN, 0};
      const ssize_t got = poll(&item, 1, 20'000) == 1 ? recv(socket_.get(), at, bytes, 0) : 0;
      if (got <= 0) throw std::runtime_error("the donor says nothing");
      at += got;
      bytes -= static_cast<std::size_t>(got);
    }
  }

  UniqueFd socket_;
};

DonorQuestion question(std::int64_t offset, std::int64_t bytes) {
  return {.term = kServedBallot.term,
          .attempt = kServedBallot.attempt,
          .step = kServedStep,
          .offset = offset,
          .bytes = bytes};
}

class DonorTest : public testing::Test {
 protected:
  void serve(Find find) { donor_ = make_donor(uuid_, token_, std::move(find)); }

  Peer connect_locally() const {
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM, 0));
    const distributed::AbstractAddress address(donor_socket(uuid_));
    EXPECT_EQ(connect(socket.get(), address.get(), address.length()), 0);
    return Peer(std::move(socket));
  }
  Peer connect_by_network() const { return Peer(cluster::connect_to(donor_->service().address, 20s)); }
  Peer member() const {
    Peer peer = connect_locally();
    peer.introduce(uuid_, token_);
    return peer;
  }

  bool can_fetch(Way way) const {
    Memory copy = memory_.elsewhere();
    const TransferOptions options{.donors = {{.uuid = uuid_, .service = donor_->service()}},
                                  .asker = {.self = Uuid::random(), .token = token_, .ballot = kServedBallot},
                                  .step = kServedStep,
                                  .stall = 60s,
                                  .way = way};
    return fetch(options, copy.destination(), {}).done && copy.joined() == memory_.joined();
  }

  const Uuid uuid_ = Uuid::random();
  const std::string token_ = cluster::make_token();
  const Memory memory_ = Memory::filled();
  std::unique_ptr<Donor> donor_;
};

TEST_F(DonorTest, AnswersWithThePieceAndItsHash) {
  serve(find_in(memory_));
  Peer peer = member();
  const std::vector<std::byte> all = memory_.joined();
  const auto total = static_cast<std::int64_t>(all.size());
  const auto expect = [&](std::int64_t offset, std::int64_t asked, std::int64_t given) {
    const auto [header, bytes, verdict] = peer.ask(question(offset, asked));
    const auto expected = std::span(all).subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(given));
    EXPECT_EQ(header.offset, offset);
    EXPECT_EQ(header.total, total);
    EXPECT_EQ(verdict.total, total);
    EXPECT_TRUE(std::ranges::equal(bytes, expected));
    EXPECT_EQ(header.checksum, xxh3_64(expected));
  };
  expect(0, 0, 0);
  expect(0, 1000, 1000);
  expect(3, kMaxPieceBytes, kMaxPieceBytes);
  expect(total - 5, 100, 5);
  expect(total, 100, 0);
}

TEST_F(DonorTest, HasNothingForQuestionsThatMakeNoSense) {
  serve(find_in(memory_));
  Peer peer = member();
  for (const DonorQuestion& wrong :
       {question(-1, 100), question(0, -1), question(0, kMaxPieceBytes + 1), question(INT64_MAX, INT64_MAX)})
    EXPECT_EQ(peer.ask(wrong).header.total, kNeverHere);
  DonorQuestion other_kind = question(0, 100);
  other_kind.what = 7;
  EXPECT_EQ(peer.ask(other_kind).header.total, kNeverHere);
  EXPECT_EQ(peer.ask(question(std::int64_t{1} << 60, 100)).header.bytes, 0);
}

TEST_F(DonorTest, SaysWhatItDoesNotHave) {
  std::atomic<Offer::Kind> kind = Offer::Kind::kNever;
  serve([&](const Ballot&, const Pull&) { return Offer{.kind = kind}; });
  Peer peer = member();
  EXPECT_EQ(peer.ask(question(0, 100)).verdict.total, kNeverHere);
  kind = Offer::Kind::kNotYet;
  EXPECT_EQ(peer.ask(question(0, 100)).verdict.total, kNotHereYet);
  EXPECT_EQ(peer.ask(question(INT64_MAX, 100)).header.bytes, 0);
}

// The bytes are under way then: the verdict takes them back.
TEST_F(DonorTest, TakesBackWhatIsWithdrawnWhileItIsSent) {
  for (const int last : {1, 2, 5}) {  // that it is offered
    std::atomic<int> questions = 0;
    serve([&](const Ballot& ballot, const Pull& pull) {
      return ++questions > last ? Offer{} : find_in(memory_)(ballot, pull);
    });
    const auto [header, bytes, verdict] = member().ask(question(0, 1 << 20));
    EXPECT_EQ(header.bytes, 1 << 20);
    EXPECT_EQ(verdict.total, kNeverHere) << last;
    donor_.reset();
  }
}

TEST_F(DonorTest, IsReachedAtAllAddressesOfItsHost) {
  donor_ = std::make_unique<Donor>(
      DonorOptions{.listen = "tcp://0.0.0.0:0", .token = token_, .self = uuid_, .find = find_in(memory_)});
  const std::string& address = donor_->service().address;
  EXPECT_EQ(address.find("0.0.0.0"), std::string::npos) << address;
  for (const std::string& own : cluster::own_addresses())
    EXPECT_NE(address.find("tcp://" + own + ":"), std::string::npos) << address;
  EXPECT_TRUE(can_fetch(Way::kNetwork));
}

TEST_F(DonorTest, CannotListenWhereAnotherDoes) {
  serve(find_in(memory_));
  try {
    const Donor second({.listen = donor_->service().address, .token = token_, .self = Uuid::random(), .find = nothing});
    ADD_FAILURE() << "two donors on one port";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_NE(std::string(error.what()).find(donor_->service().address), std::string::npos) << error.what();
  }
}

TEST_F(DonorTest, StrangersGetNothing) {
  serve(find_in(memory_));
  const std::string wrong_token = cluster::make_token();
  for (const bool locally : {true, false}) {
    const auto connect = [&] { return locally ? connect_locally() : connect_by_network(); };
    const DonorHello hello{.donor = uuid_, .nonce = cluster::make_nonce()};
    Peer guesses = connect();
    guesses.say(hello);
    guesses.say(DonorProof{.signature = sign_proof(wrong_token, hello, guesses.hear<DonorChallenge>())});
    guesses.say(question(0, 100));
    EXPECT_TRUE(guesses.is_closed());

    Peer plays_back = connect();  // a proof that was made for another nonce
    plays_back.say(hello);
    const auto challenge = plays_back.hear<DonorChallenge>();
    DonorChallenge another = challenge;
    another.nonce[0] ^= 1;
    plays_back.say(DonorProof{.signature = sign_proof(token_, hello, another)});
    EXPECT_TRUE(plays_back.is_closed());

    Peer misdirected = connect();
    misdirected.say(DonorHello{.donor = Uuid::random(), .nonce = cluster::make_nonce()});
    EXPECT_TRUE(misdirected.is_closed());

    Peer of_another_build = connect();
    of_another_build.say(DonorHello{.version = 99, .donor = uuid_, .nonce = cluster::make_nonce()});
    EXPECT_TRUE(of_another_build.is_closed());
  }
}

TEST_F(DonorTest, GarbageDoesNoHarm) {
  serve(find_in(memory_));
  const std::string garbage(100'000, '\x7f');
  Peer by_network = connect_by_network();
  by_network.say(garbage);
  Peer local = connect_locally();
  local.say(garbage);
  Peer silent = connect_by_network();
  Peer of_the_run = member();
  of_the_run.say(garbage);  // questions that make no sense
  EXPECT_TRUE(can_fetch(Way::kSocket));
  EXPECT_TRUE(can_fetch(Way::kNetwork));
  EXPECT_TRUE(by_network.is_closed());
  EXPECT_TRUE(local.is_closed());
}

TEST_F(DonorTest, ACrowdOfStrangersKeepsNobodyOut) {
  serve(find_in(memory_));
  Peer known = member();
  std::vector<Peer> strangers;
  for (int i = 0; i < 100; ++i) strangers.push_back(connect_by_network());
  EXPECT_TRUE(strangers.front().is_closed());
  EXPECT_EQ(known.ask(question(0, 100)).header.bytes, 100);
  EXPECT_TRUE(can_fetch(Way::kNetwork));
}

TEST_F(DonorTest, EndsAtOnceWhoeverIsConnected) {
  serve(find_in(memory_));
  Peer peer = member();
  peer.ask(question(0, 10));
  Peer takes_nothing = member();
  for (int i = 0; i < 5; ++i) takes_nothing.say(question(0, kMaxPieceBytes));
  Peer stranger = connect_by_network();
  const auto begin = Clock::now();
  donor_.reset();
  EXPECT_LT(Clock::now() - begin, 5s);
  EXPECT_TRUE(peer.is_closed());
  EXPECT_TRUE(takes_nothing.is_closed());
  EXPECT_TRUE(stranger.is_closed());
}

TEST_F(DonorTest, SettlesOnceNothingIsRead) {
  std::promise<void> reading;
  std::promise<void> go_on;
  bool first = true;
  serve([&](const Ballot&, const Pull&) {
    if (std::exchange(first, false)) {
      reading.set_value();
      go_on.get_future().wait();
    }
    return Offer{};
  });
  Peer peer = member();
  peer.say(question(0, 10));
  reading.get_future().wait();
  auto settled = std::async(std::launch::async, [this] { donor_->settle(); });
  EXPECT_EQ(settled.wait_for(50ms), std::future_status::timeout);
  go_on.set_value();
  EXPECT_EQ(settled.wait_for(20s), std::future_status::ready);
  donor_.reset();
}

TEST_F(DonorTest, DamagedWordsDoNoHarm) {
  serve(find_in(memory_));
  const auto bytes = [](const auto& value) { return std::string(reinterpret_cast<const char*>(&value), sizeof value); };
  const DonorHello hello{.donor = uuid_, .asker = Uuid::random(), .nonce = cluster::make_nonce()};
  DonorQuestion places = question(5 << 20, 1 << 20);
  places.where = 1;
  testing_support::Mutations hellos({bytes(hello)});
  testing_support::Mutations questions({bytes(question(0, 1000)) + bytes(places), bytes(question(3, 1 << 20)),
                                        bytes(places) + bytes(question(7, 0)) + bytes(question(9, 1))});
  for (std::int64_t i = 0; i < testing_support::Mutations::rounds(300); ++i) {
    Peer peer = i % 2 == 0 ? connect_locally() : connect_by_network();
    if (i % 4 < 2) peer.introduce(uuid_, token_);
    peer.say(i % 4 < 2 ? questions.next() : hellos.next());
  }
  EXPECT_TRUE(can_fetch(Way::kSocket));
}

}  // namespace
}  // namespace convoy::worker
