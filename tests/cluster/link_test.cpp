#include "cluster/link.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>
#include <map>
#include <thread>
#include <zmq.hpp>

#include "cluster/curve.h"
#include "cluster/socket.h"
#include "core/base/error.h"

namespace convoy::cluster {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr Ballot kBallot{.term = 1, .attempt = 1};
constexpr char kListen[] = "tcp://127.0.0.1:0";

// The next message at the hub; the test fails after a few seconds.
Message next(Hub& hub) {
  auto message = hub.receive(5s);
  if (!message) throw std::runtime_error("nothing arrived at the hub");
  return *message;
}

// What receive() of a lost link says. The hub, if there is one, must be served to turn anybody away.
std::string loss(Link& link, Hub* hub = nullptr) {
  const auto deadline = Clock::now() + 5s;
  while (Clock::now() < deadline) {
    if (hub != nullptr) (void)hub->receive(10ms);
    try {
      (void)link.receive(10ms);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kPeerLost);
      return error.what();
    }
  }
  return "not lost";
}

TEST(LinkTest, CarriesMessagesBothWays) {
  Hub hub(kListen, make_token(), Uuid::random());
  const Uuid self = Uuid::random();
  Link link(hub.credentials(), self);
  link.send(kBallot, StopRequest{.reason = "why not"});

  const Message message = next(hub);
  EXPECT_EQ(message.sender, self);
  EXPECT_EQ(message.ballot, kBallot);
  EXPECT_EQ(message.body, Body(StopRequest{.reason = "why not"}));

  EXPECT_TRUE(hub.send(self, kBallot, Notice{.text = "first"}));
  EXPECT_TRUE(hub.send(self, kBallot, Notice{.text = std::string(1 << 20, 'x')}));
  EXPECT_EQ(link.receive(5s)->body, Body(Notice{.text = "first"}));
  EXPECT_EQ(link.receive(5s)->body, Body(Notice{.text = std::string(1 << 20, 'x')}));
  EXPECT_FALSE(link.receive(0ms));
}

TEST(LinkTest, ReachesUuidsThatStartWithZero) {
  Hub hub(kListen, make_token(), Uuid::random());
  Link link(hub.credentials(), Uuid{});
  link.send(kBallot, StopRequest{});
  EXPECT_EQ(next(hub).sender, Uuid{});
  EXPECT_TRUE(hub.send(Uuid{}, kBallot, Recorded{.step = 1}));
  EXPECT_TRUE(link.receive(5s));
}

TEST(LinkTest, PollsReadableWhileSomethingIsThere) {
  Hub hub(kListen, make_token(), Uuid::random());
  const Uuid self = Uuid::random();
  Link link(hub.credentials(), self);
  const auto readable = [&](int timeout_ms) {
    pollfd item{.fd = link.poll_descriptor(), .events = POLLIN, .revents = 0};
    return ::poll(&item, 1, timeout_ms) == 1;
  };
  link.send(kBallot, StopRequest{});
  next(hub);
  EXPECT_FALSE(readable(0));
  hub.send(self, kBallot, Recorded{.step = 1});
  hub.send(self, kBallot, Recorded{.step = 2});
  EXPECT_TRUE(readable(5000));
  EXPECT_TRUE(link.receive(5s));
  EXPECT_TRUE(link.receive(5s));
  EXPECT_FALSE(readable(0));
}

TEST(LinkTest, TakesMessagesFromManyThreads) {
  constexpr int kThreads = 4;
  constexpr int kEach = 250;
  Hub hub(kListen, make_token(), Uuid::random());
  Link link(hub.credentials(), Uuid::random());
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&link, t] {
      for (int i = 1; i <= kEach; ++i)
        link.send(kBallot, EventReport{.kind = std::to_string(t), .step = i, .detail = ""});
    });
  }
  std::map<std::string, std::int64_t> last;
  for (int i = 0; i < kThreads * kEach; ++i) {
    const auto event = std::get<EventReport>(next(hub).body);
    EXPECT_EQ(event.step, ++last[event.kind]) << "out of order within one thread";
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(LinkTest, CloseSendsWhatWasQueued) {
  Hub hub(kListen, make_token(), Uuid::random());
  std::thread closer([credentials = hub.credentials()] {
    Link link(credentials, Uuid::random());
    for (int i = 1; i <= 100; ++i) link.send(kBallot, Recorded{.step = i});
    link.close(5s);
    link.send(kBallot, Recorded{.step = 999});
  });
  for (int i = 1; i <= 100; ++i) EXPECT_EQ(next(hub).body, Body(Recorded{.step = i}));
  closer.join();
  EXPECT_FALSE(hub.receive(50ms));
}

TEST(LinkTest, CloseWithoutAHubIsBounded) {
  Hub hub(kListen, make_token(), Uuid::random());  // never serves: the handshake stays open
  Link link(hub.credentials(), Uuid::random());
  link.send(kBallot, Recorded{.step = 1});
  const auto start = Clock::now();
  link.close(100ms);
  EXPECT_LT(Clock::now() - start, 5s);
}

TEST(LinkTest, NoticesThatTheHubClosedAndStillDeliversItsLastWords) {
  auto hub = std::make_unique<Hub>(kListen, make_token(), Uuid::random());
  const Uuid self = Uuid::random();
  Link link(hub->credentials(), self);
  link.send(kBallot, StopRequest{});
  next(*hub);
  for (int i = 0; i < 100; ++i) hub->send(self, kBallot, Recorded{.step = i});
  hub->send(self, kBallot, Stop{.exit_code = 1, .reason = "the end"});
  const std::string address = hub->credentials().address;
  hub->close(5s);
  std::this_thread::sleep_for(50ms);  // the end of the connection is there before the first receive()

  for (int i = 0; i < 100; ++i) EXPECT_EQ(link.receive(5s)->body, Body(Recorded{.step = i}));
  EXPECT_EQ(link.receive(5s)->body, Body(Stop{.exit_code = 1, .reason = "the end"}));
  EXPECT_EQ(loss(link), "lost the scheduler at " + address + ": it closed the connection");
}

TEST(LinkTest, NoticesThatNobodyListens) {
  Credentials credentials;
  {
    Hub hub(kListen, make_token(), Uuid::random());
    credentials = hub.credentials();
    hub.close(0ms);
  }
  Link link(credentials, Uuid::random());
  EXPECT_EQ(loss(link), "lost the scheduler at " + credentials.address + ": nobody listens there");
  Link other(credentials, Uuid::random(), "worker 7");
  EXPECT_EQ(loss(other), "lost worker 7 at " + credentials.address + ": nobody listens there");
}

TEST(LinkTest, IsTurnedAwayWithAWrongToken) {
  Hub hub(kListen, make_token(), Uuid::random());
  Credentials credentials = hub.credentials();
  credentials.token = make_token();
  Link link(credentials, Uuid::random());
  link.send(kBallot, StopRequest{});
  const auto start = Clock::now();
  EXPECT_NE(loss(link, &hub).find("it refused the run's token"), std::string::npos);
  EXPECT_LT(Clock::now() - start, 5s);
  EXPECT_FALSE(hub.receive(50ms)) << "a message got in without the token";
}

TEST(LinkTest, RefusesAHubWithAnotherKey) {
  Hub hub(kListen, make_token(), Uuid::random());
  Credentials credentials = hub.credentials();
  credentials.public_key = fresh_key_pair().public_key;
  Link link(credentials, Uuid::random());
  EXPECT_NE(loss(link, &hub).find("lost the scheduler"), std::string::npos);
}

TEST(LinkTest, RefusesMalformedCredentials) {
  Hub hub(kListen, make_token(), Uuid::random());
  Credentials credentials = hub.credentials();
  credentials.token = "secret";
  try {
    Link link(credentials, Uuid::random());
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find("secret"), std::string::npos) << "a token must not be printed";
  }
  credentials = hub.credentials();
  credentials.address = "nowhere";
  EXPECT_THROW(Link(credentials, Uuid::random()), Error);
}

TEST(HubTest, PublishesThePortItWasGiven) {
  Hub hub(kListen, make_token(), Uuid::random());
  const std::string& address = hub.credentials().address;
  ASSERT_TRUE(address.starts_with("tcp://127.0.0.1:")) << address;
  EXPECT_NE(address, kListen);
  try {
    Hub second(address, make_token(), Uuid::random());
    ADD_FAILURE() << "two hubs on one port";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_NE(std::string(error.what()).find(address), std::string::npos) << error.what();
  }
}

TEST(HubTest, SaysThatALinkIsNotConnected) {
  Hub hub(kListen, make_token(), Uuid::random());
  EXPECT_FALSE(hub.send(Uuid::random(), kBallot, Recorded{}));
  const Uuid self = Uuid::random();
  {
    Link link(hub.credentials(), self);
    link.send(kBallot, StopRequest{});
    next(hub);
    EXPECT_TRUE(hub.send(self, kBallot, Recorded{}));
  }
  const auto deadline = Clock::now() + 5s;
  while (hub.send(self, kBallot, Recorded{}) && Clock::now() < deadline) (void)hub.receive(10ms);
  EXPECT_FALSE(hub.send(self, kBallot, Recorded{}));
}

TEST(HubTest, WakesUpWhenAsked) {
  Hub hub(kListen, make_token(), Uuid::random());
  std::thread waker([&hub] {
    std::this_thread::sleep_for(50ms);
    hub.wake();
  });
  const auto start = Clock::now();
  EXPECT_FALSE(hub.receive(30s));
  EXPECT_LT(Clock::now() - start, 10s);
  waker.join();
}

// A peer that knows the token but speaks nonsense.
class RawPeer {
 public:
  RawPeer(const Credentials& credentials, const std::string& id) : socket_(context_, zmq::socket_type::dealer) {
    const KeyPair keys = key_pair_of_token(credentials.token);
    set_transport_options(socket_, credentials.address);
    socket_.set(zmq::sockopt::routing_id, id);
    socket_.set(zmq::sockopt::curve_serverkey, credentials.public_key);
    socket_.set(zmq::sockopt::curve_publickey, keys.public_key);
    socket_.set(zmq::sockopt::curve_secretkey, keys.secret_key);
    socket_.connect(credentials.address);
  }
  void send(const std::string& bytes, bool more = false) {
    socket_.send(zmq::buffer(bytes), more ? zmq::send_flags::sndmore : zmq::send_flags::none);
  }

 private:
  zmq::context_t context_;
  zmq::socket_t socket_;
};

TEST(HubTest, DropsAndCountsWhatIsNoMessageOfItsSender) {
  Hub hub(kListen, make_token(), Uuid::random());
  const Uuid self = Uuid::random();
  const Uuid other = Uuid::random();
  RawPeer peer(hub.credentials(), routing_id(self));
  const auto message = [](const Uuid& sender) {
    return encode({.ballot = kBallot, .sender = sender, .body = Recorded{}});
  };

  peer.send("garbage");
  peer.send("");
  std::string other_schema = message(self);
  other_schema[1] = 9;
  peer.send(other_schema);
  peer.send(message(other));  // in somebody else's name
  peer.send(message(self), true);
  peer.send("a second frame");
  peer.send(message(self));

  EXPECT_EQ(next(hub).sender, self);
  EXPECT_EQ(hub.dropped(), 5);
}

}  // namespace
}  // namespace convoy::cluster
