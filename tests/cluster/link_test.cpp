#include "cluster/link.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <map>
#include <thread>
#include <zmq.hpp>

#include "cluster/curve.h"
#include "cluster/reserved_port.h"
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
}

TEST(LinkTest, MayBeMadeAnewUntilSomebodyListens) {
  const ReservedPort port(kListen);
  const std::string token = make_token();
  const Credentials credentials{
      .address = port.address(), .public_key = hub_key_pair_of_token(token).public_key, .token = token};
  const Uuid self = Uuid::random();
  for (int attempt = 0; attempt < 20; ++attempt) {
    Link link(credentials, self);
    link.send(kBallot, Recorded{.step = attempt});
    EXPECT_EQ(loss(link), "lost the scheduler at " + port.address() + ": nobody listens there");
  }
  Hub hub(port.address(), token, Uuid::random());
  Link link(credentials, self);
  link.send(kBallot, Recorded{.step = 99});
  EXPECT_EQ(next(hub).body, Body(Recorded{.step = 99}));
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

TEST(HubTest, HasTheKeyThatFollowsFromTheToken) {
  const std::string token = make_token();
  Hub hub(kListen, token, Uuid::random());
  EXPECT_EQ(hub.credentials().public_key, hub_key_pair_of_token(token).public_key);
  EXPECT_NE(hub.credentials().public_key, key_pair_of_token(token).public_key);
  EXPECT_NE(hub.credentials().public_key, hub_key_pair_of_token(make_token()).public_key);
}

// The process that owned the port, with links connected, is killed; the next hub is there at once.
TEST(HubTest, TakesTheAddressOfAKilledOneWhoseLinksFindIt) {
  const ReservedPort port(kListen);
  const std::string token = make_token();
  const pid_t owner = fork();
  if (owner == 0) {
    Hub hub(port.address(), token, Uuid::random());
    for (;;) {
      if (const auto message = hub.receive(1s)) hub.send(message->sender, message->ballot, message->body);
      if (getppid() == 1) _exit(0);
    }
  }
  const Credentials credentials{
      .address = port.address(), .public_key = hub_key_pair_of_token(token).public_key, .token = token};
  std::map<Uuid, std::unique_ptr<Link>> links;
  const auto connect = [&](const Uuid& self) {
    links[self] = std::make_unique<Link>(credentials, self);
    links[self]->send(kBallot, Recorded{.step = 1});
  };
  const auto answered = [&](const Uuid& self) {
    try {
      const auto answer = links[self]->receive(100ms);
      return answer && answer->body == Body(Recorded{.step = 1});
    } catch (const Error&) {  // it does not listen yet
      connect(self);
      return false;
    }
  };
  std::vector<Uuid> selves{Uuid::random(), Uuid::random(), Uuid::random()};
  for (const Uuid& self : selves) connect(self);
  const auto deadline = Clock::now() + 10s;
  for (const Uuid& self : selves) {
    while (!answered(self)) ASSERT_LT(Clock::now(), deadline);
  }

  kill(owner, SIGKILL);
  ASSERT_EQ(waitpid(owner, nullptr, 0), owner);
  Hub hub(port.address(), token, Uuid::random());
  for (const Uuid& self : selves) {
    EXPECT_EQ(loss(*links[self]), "lost the scheduler at " + port.address() + ": it closed the connection");
    connect(self);
    EXPECT_EQ(next(hub).sender, self);
    EXPECT_TRUE(hub.send(self, kBallot, Recorded{.step = 2}));
    EXPECT_EQ(links[self]->receive(5s)->body, Body(Recorded{.step = 2}));
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

TEST(HubTest, HearsTheLastLinkOfSeveralInOneName) {
  Hub hub(kListen, make_token(), Uuid::random());
  const Uuid self = Uuid::random();
  Link first(hub.credentials(), self);
  first.send(kBallot, Recorded{.step = 1});
  EXPECT_EQ(next(hub).body, Body(Recorded{.step = 1}));
  Link second(hub.credentials(), self);  // the first one's connection stands, as that of a host that was cut off does
  second.send(kBallot, Recorded{.step = 2});
  EXPECT_EQ(next(hub).body, Body(Recorded{.step = 2}));
  EXPECT_TRUE(hub.send(self, kBallot, Recorded{.step = 3}));
  EXPECT_EQ(second.receive(5s)->body, Body(Recorded{.step = 3}));
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

TEST(LinkTest, WithoutDescriptorsThereIsAnErrorThatNamesTheAddress) {
  const Hub hub(kListen, make_token(), Uuid::random());
  const std::string address = hub.credentials().address;
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  const rlimit none{.rlim_cur = 3, .rlim_max = before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &none);
  const auto refused = [](const auto& make) -> std::string {
    try {
      make();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
      return error.what();
    }
    return "no error";
  };
  const std::string link = refused([&] { Link(hub.credentials(), Uuid::random()); });
  const std::string other_hub = refused([&] { Hub(kListen, make_token(), Uuid::random()); });
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_EQ(link.find("cannot connect to the scheduler at " + address + ": "), 0u) << link;
  EXPECT_EQ(other_hub.find(std::string("cannot listen on ") + kListen + ": "), 0u) << other_hub;
}

}  // namespace
}  // namespace convoy::cluster
