#include "distributed/tcp/tcp_rendezvous.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <string>
#include <thread>

#include "core/base/error.h"
#include "distributed/tcp/tcp_socket.h"
#include "tests/distributed/expected_errors.h"
#include "tests/distributed/tcp/tcp_ranks.h"

namespace convoy::distributed {
namespace {

using testing::message_of;
using testing::run_tcp_ranks;
using testing::TcpRankContext;

// What a meeting that comes to nothing says.
std::string refused(ErrorCode code, TcpRendezvous& rendezvous, const TcpMeeting& meeting) {
  return message_of(code, [&] { rendezvous.meet(meeting); });
}

TEST(TcpRendezvousTest, WhoComesWithAnOldEpochIsToldSo) {
  run_tcp_ranks(2, [](TcpRankContext& context) {
    TcpMeeting meeting = context.meeting();
    meeting.timeout = std::chrono::milliseconds(1000);
    if (context.rank == 0) meeting.ballot = {2, 1};
    EXPECT_NAMES(refused(ErrorCode::kPeerLost, context.rendezvous, meeting), "another epoch");
  });
}

TEST(TcpRendezvousTest, WaitingStopsOnRequest) {
  TcpRendezvous own("127.0.0.1");
  TcpRendezvous silent("127.0.0.1");
  std::stop_source stop;
  std::thread stopper([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    stop.request_stop();
  });
  const TcpMeeting meeting{.ballot = {3, 1},
                           .token = "t",
                           .rank = 1,
                           .members = {{silent.place(), "a", Uuid::random()}, {own.place(), "b", Uuid::random()}},
                           .stop = stop.get_token()};
  EXPECT_NAMES(refused(ErrorCode::kInterrupted, own, meeting), "3.1");
  stopper.join();
}

TEST(TcpRendezvousTest, APeerThatIsGoneIsNamedAtOnce) {
  const std::string place = TcpRendezvous("127.0.0.1").place();
  TcpRendezvous own("127.0.0.1");
  const TcpMeeting meeting{.ballot = {1, 1},
                           .token = "t",
                           .rank = 1,
                           .members = {{place, "a", Uuid::random()}, {own.place(), "b", Uuid::random()}},
                           .timeout = std::chrono::minutes(5)};
  const std::string message = refused(ErrorCode::kPeerLost, own, meeting);
  EXPECT_NAMES(message, "rank 0");
  EXPECT_NAMES(message, place);
}

TEST(TcpRendezvousTest, APeerThatDiesAfterItWasMetIsNamed) {
  run_tcp_ranks(3, [](TcpRankContext& context) {
    if (context.rank == 2) {
      std::this_thread::sleep_for(std::chrono::milliseconds(500));
      return;
    }
    TcpMeeting meeting = context.meeting();
    if (context.rank == 1) meeting.timeout = std::chrono::milliseconds(100);  // then it gives up and closes
    const std::string message = refused(ErrorCode::kPeerLost, context.rendezvous, meeting);
    EXPECT_NAMES(message, context.rank == 0 ? "rank 1" : "rank 2");
  });
}

// Connects to a worker's port as anybody can.
UniqueFd stranger_at(const std::string& place) {
  Connecting connecting = begin_connect(place);
  EXPECT_EQ(connecting.error, 0);
  pollfd writable{connecting.socket.get(), POLLOUT, 0};
  EXPECT_EQ(poll(&writable, 1, 5000), 1);
  return std::move(connecting.socket);
}

void say(const UniqueFd& socket, std::string_view words) {
  EXPECT_EQ(::send(socket.get(), words.data(), words.size(), MSG_NOSIGNAL), static_cast<ssize_t>(words.size()));
}

TEST(TcpRendezvousTest, StrangersDoNoHarm) {
  run_tcp_ranks(2, [](TcpRankContext& context) {
    // Before the meeting, and while it waits: garbage, an early end, silence, and somebody who takes their time.
    std::vector<UniqueFd> strangers;
    std::jthread slow;
    if (context.rank == 1) {
      const std::string& place = context.members[0].place;
      for (int i = 0; i < 300; ++i) strangers.push_back(stranger_at(place));
      for (std::size_t i = 0; i < 100; ++i) say(strangers[i], std::string(10'000, static_cast<char>(i)));
      for (std::size_t i = 100; i < 150; ++i) say(strangers[i], "GET / HTTP/1.1\r\n\r\n");
      for (std::size_t i = 150; i < 200; ++i) strangers[i].reset();
      slow = std::jthread([&place](const std::stop_token& stop) {
        const UniqueFd socket = stranger_at(place);
        while (!stop.stop_requested() && ::send(socket.get(), "x", 1, MSG_NOSIGNAL) == 1)
          std::this_thread::sleep_for(std::chrono::milliseconds(1));
      });
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
    for (std::uint32_t attempt = 1; attempt <= 3; ++attempt) {
      TcpMeeting meeting = context.meeting();
      meeting.ballot.attempt = attempt;
      const auto communicator = context.communicator(meeting);
      double value = 1.0;
      communicator->all_reduce(ReduceType::kF64, &value, 1);
      EXPECT_EQ(value, 2.0);
    }
  });
}

// On a busy machine a member may take long from its hello to its proof; a stranger has no such time.
TEST(TcpRendezvousTest, AMemberMayBeSlowToProveThatItIsOne) {
  TcpRendezvous own("127.0.0.1");
  TcpMeeting meeting{.ballot = {1, 1},
                     .token = "t",
                     .rank = 0,
                     .members = {{own.place(), "a", Uuid::random()}, {"127.0.0.1:1", "b", Uuid::random()}},
                     .timeout = std::chrono::seconds(20),
                     .patience = std::chrono::milliseconds(500)};
  TcpMeeting theirs = meeting;
  theirs.rank = 1;
  std::jthread slow([&] {
    const UniqueFd stranger = stranger_at(own.place());
    std::vector<UniqueFd> sockets;
    std::vector<std::pair<TcpHello, TcpAnswer>> said;
    for (const TcpChannel channel : {TcpChannel::kData, TcpChannel::kWatch}) {
      sockets.push_back(stranger_at(own.place()));
      auto& [hello, answer] = said.emplace_back(make_hello(theirs, 0, channel), TcpAnswer{});
      say(sockets.back(), {reinterpret_cast<const char*>(&hello), sizeof(hello)});
      pollfd readable{sockets.back().get(), POLLIN, 0};
      EXPECT_EQ(poll(&readable, 1, 5000), 1);
      EXPECT_EQ(recv(sockets.back().get(), &answer, sizeof(answer), 0), static_cast<ssize_t>(sizeof(answer)));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1'200));
    char nothing = 0;
    EXPECT_EQ(recv(stranger.get(), &nothing, 1, 0), 0) << "who says nothing is still there";
    for (std::size_t i = 0; i < sockets.size(); ++i) {
      const Signature proof = make_proof(said[i].first, said[i].second, theirs);
      say(sockets[i], {reinterpret_cast<const char*>(&proof), sizeof(proof)});
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  });
  EXPECT_EQ(own.meet(meeting).size(), 1U);
}

TEST(TcpRendezvousTest, AForgedMemberIsNotLetIn) {
  TcpRendezvous own("127.0.0.1");
  const Uuid uuids[] = {Uuid::random(), Uuid::random()};
  TcpMeeting meeting{.ballot = {1, 1},
                     .token = "t",
                     .rank = 0,
                     .members = {{own.place(), "a", uuids[0]}, {"127.0.0.1:1", "b", uuids[1]}},
                     .timeout = std::chrono::milliseconds(300)};
  TcpMeeting theirs = meeting;
  theirs.rank = 1;
  // A good hello, as somebody may have recorded it, twice; and a proof that is none.
  std::vector<UniqueFd> forgers;
  for (const TcpChannel channel : {TcpChannel::kData, TcpChannel::kWatch}) {
    forgers.push_back(stranger_at(own.place()));
    const TcpHello hello = make_hello(theirs, 0, channel);
    say(forgers.back(), {reinterpret_cast<const char*>(&hello), sizeof(hello)});
    say(forgers.back(), std::string(sizeof(Signature), 'x'));
  }
  EXPECT_NAMES(refused(ErrorCode::kPeerLost, own, meeting), "token");
}

}  // namespace
}  // namespace convoy::distributed
