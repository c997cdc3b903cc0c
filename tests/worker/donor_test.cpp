#include "worker/donor.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <future>
#include <latch>
#include <thread>

#include "cluster/address.h"
#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/base/unique_fd.h"
#include "distributed/local/abstract_address.h"
#include "tests/worker/serving.h"
#include "worker/local_wire.h"
#include "worker/transfer.h"

namespace convoy::worker {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// One donor, and what its peers know.
class DonorTest : public testing::Test {
 protected:
  void serve(Find find) { donor_ = make_donor(uuid_, token_, std::move(find)); }

  std::unique_ptr<cluster::Link> link() const {
    return std::make_unique<cluster::Link>(
        cluster::Credentials{
            .address = donor_->service().address, .public_key = donor_->service().public_key, .token = token_},
        Uuid::random());
  }
  cluster::Piece ask(std::int64_t offset, std::int64_t bytes) {
    if (!link_) link_ = link();
    link_->send(kServedBallot, cluster::Pull{.step = kServedStep, .offset = offset, .bytes = bytes});
    const auto message = link_->receive(5s);
    if (!message) throw std::runtime_error("no answer");
    EXPECT_EQ(message->sender, uuid_);
    EXPECT_EQ(message->ballot, kServedBallot);
    return std::get<cluster::Piece>(message->body);
  }

  UniqueFd local_socket() const {
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM, 0));
    const distributed::AbstractAddress address(local_donor_name(uuid_));
    EXPECT_EQ(connect(socket.get(), address.get(), address.length()), 0);
    return socket;
  }
  // Whether the donor closes it; what it sends first is read.
  static bool is_closed(const UniqueFd& socket) {
    pollfd item{socket.get(), POLLIN, 0};
    std::vector<std::byte> sink(1 << 20);
    while (poll(&item, 1, 5000) == 1) {
      if (recv(socket.get(), sink.data(), sink.size(), 0) <= 0) return true;
    }
    return false;
  }

  bool can_fetch(bool locally) const {
    Memory copy = memory_.elsewhere();
    const TransferOptions options{.donors = {{.uuid = uuid_, .service = donor_->service()}},
                                  .asker = {.self = Uuid::random(), .token = token_, .ballot = kServedBallot},
                                  .step = kServedStep,
                                  .locally = locally};
    return fetch(options, copy.destination(), {}).done && copy.joined() == memory_.joined();
  }

  const Uuid uuid_ = Uuid::random();
  const std::string token_ = cluster::make_token();
  const Memory memory_ = Memory::filled();
  std::unique_ptr<Donor> donor_;
  std::unique_ptr<cluster::Link> link_;
};

TEST_F(DonorTest, AnswersWithAPieceAndItsHash) {
  serve(find_in(memory_));
  const std::vector<std::byte> all = memory_.joined();
  const auto total = static_cast<std::int64_t>(all.size());
  const auto expect = [&](std::int64_t offset, std::int64_t asked, std::int64_t given) {
    const cluster::Piece piece = ask(offset, asked);
    const auto bytes = std::span(all).subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(given));
    EXPECT_EQ(piece.offset, offset);
    EXPECT_EQ(piece.total, total);
    EXPECT_EQ(piece.bytes, std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    EXPECT_EQ(piece.checksum, xxh3_64(bytes));
  };
  expect(0, 0, 0);
  expect(0, 1000, 1000);
  expect(3, cluster::kMaxPieceBytes, cluster::kMaxPieceBytes);
  expect(total - 5, 100, 5);
  expect(total, 100, 0);
}

TEST_F(DonorTest, HasNothingForQuestionsThatMakeNoSense) {
  serve(find_in(memory_));
  EXPECT_EQ(ask(-1, 100).total, kNeverHere);
  EXPECT_EQ(ask(0, -1).total, kNeverHere);
  EXPECT_EQ(ask(0, cluster::kMaxPieceBytes + 1).total, kNeverHere);
  const cluster::Piece beyond = ask(std::int64_t{1} << 60, 100);
  EXPECT_EQ(beyond.bytes, "");
}

TEST_F(DonorTest, SaysWhatItDoesNotHave) {
  Offer::Kind kind = Offer::Kind::kNever;
  serve([&](const Ballot&, const cluster::Pull&) { return Offer{.kind = kind}; });
  EXPECT_EQ(ask(0, 100).total, kNeverHere);
  kind = Offer::Kind::kNotYet;
  EXPECT_EQ(ask(0, 100).total, kNotHereYet);
}

TEST_F(DonorTest, GivesNothingThatIsNoLongerOfferedOnceItWasRead) {
  int questions = 0;
  serve([&](const Ballot& ballot, const cluster::Pull& pull) {
    return ++questions % 2 == 0 ? Offer{} : find_in(memory_)(ballot, pull);
  });
  const cluster::Piece piece = ask(0, 1000);
  EXPECT_EQ(piece.total, kNeverHere);
  EXPECT_EQ(piece.bytes, "");
}

// By the way for peers of one host the bytes are already under way then: the verdict takes them back.
TEST_F(DonorTest, TakesBackWhatIsWithdrawnWhileItIsSent) {
  for (const int last : {1, 2, 3}) {  // that it is offered
    int questions = 0;
    serve([&](const Ballot& ballot, const cluster::Pull& pull) {
      return ++questions > last ? Offer{} : find_in(memory_)(ballot, pull);
    });
    const UniqueFd socket = local_socket();
    const LocalHello hello(uuid_, token_);
    const LocalQuestion question{
        .term = kServedBallot.term, .attempt = kServedBallot.attempt, .step = kServedStep, .bytes = 1 << 20};
    ASSERT_EQ(send(socket.get(), &hello, sizeof hello, 0), ssize_t{sizeof hello});
    ASSERT_EQ(send(socket.get(), &question, sizeof question, 0), ssize_t{sizeof question});
    LocalHeader header;
    ASSERT_EQ(recv(socket.get(), &header, sizeof header, MSG_WAITALL), ssize_t{sizeof header});
    ASSERT_EQ(header.bytes, 1 << 20);
    std::vector<std::byte> bytes(1 << 20);
    ASSERT_EQ(recv(socket.get(), bytes.data(), bytes.size(), MSG_WAITALL), ssize_t{1 << 20});
    LocalVerdict verdict;
    ASSERT_EQ(recv(socket.get(), &verdict, sizeof verdict, MSG_WAITALL), ssize_t{sizeof verdict});
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
  EXPECT_TRUE(can_fetch(false));
}

TEST_F(DonorTest, StrangersGetNothing) {
  serve(find_in(memory_));
  const UniqueFd socket = local_socket();
  const LocalHello hello(uuid_, cluster::make_token());
  EXPECT_EQ(send(socket.get(), &hello, sizeof hello, 0), ssize_t{sizeof hello});
  EXPECT_TRUE(is_closed(socket));
  const UniqueFd to_another = local_socket();
  const LocalHello misdirected(Uuid::random(), token_);
  EXPECT_EQ(send(to_another.get(), &misdirected, sizeof misdirected, 0), ssize_t{sizeof misdirected});
  EXPECT_TRUE(is_closed(to_another));
}

TEST_F(DonorTest, GarbageDoesNoHarm) {
  serve(find_in(memory_));
  const std::string garbage(100'000, '\x7f');
  const cluster::HostPort where = cluster::split_address(donor_->service().address);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(where.port);
  inet_pton(AF_INET, where.host.c_str(), &to.sin_addr);
  const UniqueFd tcp(::socket(AF_INET, SOCK_STREAM, 0));
  ASSERT_EQ(connect(tcp.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  (void)!send(tcp.get(), garbage.data(), garbage.size(), MSG_NOSIGNAL);
  const UniqueFd local = local_socket();
  (void)!send(local.get(), garbage.data(), garbage.size(), MSG_NOSIGNAL);
  // Questions that make no sense from one who knows the token.
  const UniqueFd member = local_socket();
  const LocalHello hello(uuid_, token_);
  (void)!send(member.get(), &hello, sizeof hello, MSG_NOSIGNAL);
  (void)!send(member.get(), garbage.data(), sizeof(LocalQuestion) * 3, MSG_NOSIGNAL);
  const UniqueFd silent = local_socket();

  link_ = link();
  link_->send(kServedBallot, cluster::StopRequest{.reason = "not a pull"});
  EXPECT_EQ(ask(0, 10).bytes.size(), 10U);
  EXPECT_TRUE(can_fetch(true));
  EXPECT_TRUE(can_fetch(false));
  EXPECT_TRUE(is_closed(local));
}

TEST_F(DonorTest, EndsAtOnceWhoeverIsConnected) {
  serve(find_in(memory_));
  ask(0, 10);
  // Asks for a lot and takes nothing.
  const UniqueFd idle = local_socket();
  const LocalHello hello(uuid_, token_);
  const LocalQuestion question{.term = kServedBallot.term,
                               .attempt = kServedBallot.attempt,
                               .step = kServedStep,
                               .bytes = cluster::kMaxPieceBytes};
  ASSERT_EQ(send(idle.get(), &hello, sizeof hello, 0), ssize_t{sizeof hello});
  for (int i = 0; i < 5; ++i) ASSERT_EQ(send(idle.get(), &question, sizeof question, 0), ssize_t{sizeof question});
  for (int i = 0; i < 20; ++i)
    link_->send(kServedBallot, cluster::Pull{.step = kServedStep, .bytes = cluster::kMaxPieceBytes});
  const auto begin = Clock::now();
  donor_.reset();
  EXPECT_LT(Clock::now() - begin, 2s);
  EXPECT_TRUE(is_closed(idle));
}

TEST_F(DonorTest, SettlesOnceNothingIsRead) {
  std::promise<void> reading;
  std::promise<void> go_on;
  bool first = true;
  serve([&](const Ballot&, const cluster::Pull&) {
    if (std::exchange(first, false)) {
      reading.set_value();
      go_on.get_future().wait();
    }
    return Offer{};
  });
  link_ = link();
  link_->send(kServedBallot, cluster::Pull{.bytes = 10});
  reading.get_future().wait();
  auto settled = std::async(std::launch::async, [this] { donor_->settle(); });
  EXPECT_EQ(settled.wait_for(50ms), std::future_status::timeout);
  go_on.set_value();
  EXPECT_EQ(settled.wait_for(5s), std::future_status::ready);
}

}  // namespace
}  // namespace convoy::worker
