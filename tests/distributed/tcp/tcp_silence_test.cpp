// Hosts that are cut off: nothing arrives any more, and nothing says so. Connections are cut by filters on their ends.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "distributed/tcp/tcp_rendezvous.h"
#include "tests/distributed/tcp/tcp_ranks.h"
#include "tests/support/silenced_sockets.h"

namespace convoy::distributed {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::run_tcp_ranks;
using testing::TcpRankContext;
using testing_support::endpoints_of;
using testing_support::silence;
using testing_support::TcpEndpoint;
using testing_support::unsilence;
using How = LostPeer::How;
using Clock = std::chrono::steady_clock;

// The shortest that there is.
constexpr milliseconds kSilence{2'000};

class TcpSilenceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!testing_support::can_silence(getpid())) GTEST_SKIP() << "this system does not permit pidfd_getfd";
  }
  static std::uint16_t port_of(const std::string& place) {
    return static_cast<std::uint16_t>(std::stoi(place.substr(place.rfind(':') + 1)));
  }
  // Of three, rank 1 is connected to rank 0: both tell their ends of that. Collective.
  static std::vector<TcpEndpoint> ends_between_zero_and_one(const TcpRankContext& context, Communicator& communicator) {
    const std::vector<TcpEndpoint> all = endpoints_of(getpid());
    std::vector<TcpEndpoint> ends;
    std::array<std::uint16_t, kTcpChannels> ports{};
    if (context.rank == 1) {
      std::ranges::copy_if(all, std::back_inserter(ends),
                           [&](const TcpEndpoint& end) { return end.remote == port_of(context.members[0].place); });
      EXPECT_EQ(ends.size(), ports.size());
      std::ranges::transform(ends, ports.begin(), &TcpEndpoint::local);
    }
    communicator.broadcast(ports.data(), sizeof(ports), 1);
    if (context.rank == 0) {
      std::ranges::copy_if(all, std::back_inserter(ends),
                           [&](const TcpEndpoint& end) { return std::ranges::count(ports, end.remote) > 0; });
      EXPECT_EQ(ends.size(), ports.size());
    }
    double value = 1.0;
    communicator.all_reduce(ReduceType::kF64, &value, 1);
    return ends;
  }
  static void reduce(Communicator& communicator) {
    std::vector<float> data(300'000, 1.0F);
    communicator.all_reduce(ReduceType::kF32, data.data(), std::ssize(data));
    EXPECT_EQ(data.back(), 3.0F);
  }
};

TEST_F(TcpSilenceTest, APeerThatIsCutOffIsUnreachableAndNobodyElseIs) {
  run_tcp_ranks(3, [](TcpRankContext& context) {
    TcpMeeting meeting = context.meeting();
    meeting.silence = kSilence;
    std::vector<Uuid> noticed;
    meeting.on_unreachable = [&](const Uuid& peer) { noticed.push_back(peer); };
    const auto communicator = context.communicator(meeting);
    const std::vector<TcpEndpoint> ends = ends_between_zero_and_one(context, *communicator);
    for (const TcpEndpoint& end : ends) EXPECT_TRUE(silence(end));
    const auto begin = Clock::now();
    try {
      while (true) reduce(*communicator);
    } catch (const PeerLost& lost) {
      EXPECT_GT(Clock::now() - begin, milliseconds(1'000));
      EXPECT_LT(Clock::now() - begin, seconds(10));
      std::vector<LostPeer> expected;
      if (context.rank == 0) expected = {{context.members[1].uuid, How::kUnreachable}};
      if (context.rank == 1) expected = {{context.members[0].uuid, How::kUnreachable}};
      // Whoever finds it first waits for the other to find it, too.
      EXPECT_EQ(lost.peers(), expected) << context.rank << ": " << lost.what();
      ASSERT_EQ(noticed.size(), expected.size());
      for (const LostPeer& peer : expected) EXPECT_EQ(noticed.front(), peer.uuid);
    }
    std::this_thread::sleep_for(milliseconds(500));  // so that nobody's end is heard of before its words
  });
}

TEST_F(TcpSilenceTest, ACutThatHealsInTimeIsNoneAtAll) {
  run_tcp_ranks(3, [](TcpRankContext& context) {
    TcpMeeting meeting = context.meeting();
    meeting.silence = seconds(10);
    const auto communicator = context.communicator(meeting);
    const std::vector<TcpEndpoint> ends = ends_between_zero_and_one(context, *communicator);
    for (const TcpEndpoint& end : ends) EXPECT_TRUE(silence(end));
    std::jthread healer([&ends] {
      std::this_thread::sleep_for(milliseconds(700));
      for (const TcpEndpoint& end : ends) EXPECT_TRUE(unsilence(end));
    });
    const auto begin = Clock::now();
    for (int repeat = 0; repeat < 5; ++repeat) reduce(*communicator);
    EXPECT_GT(Clock::now() - begin, milliseconds(500)) << "it was not cut";
  });
}

TEST_F(TcpSilenceTest, WhoCannotBeMetForSilenceIsUnreachable) {
  const TcpRendezvous cut_off("127.0.0.1");
  TcpRendezvous own("127.0.0.1");
  for (const TcpEndpoint& end : endpoints_of(getpid())) {
    if (end.listens() && end.local == port_of(cut_off.place())) {
      ASSERT_TRUE(silence(end));
    }
  }
  const Uuid uuid = Uuid::random();
  const TcpMeeting meeting{.ballot = {1, 1},
                           .token = "t",
                           .rank = 1,
                           .members = {{cut_off.place(), "a", uuid}, {own.place(), "b", Uuid::random()}},
                           .timeout = std::chrono::minutes(5),
                           .silence = kSilence};
  const std::vector<LostPeer> expected = {{uuid, How::kUnreachable}};
  // Of its own accord, and when there is no time left.
  for (const auto& timeout : {milliseconds(60'000), milliseconds(300)}) {
    TcpMeeting hurried = meeting;
    hurried.timeout = timeout;
    const auto begin = Clock::now();
    try {
      own.meet(hurried);
      ADD_FAILURE() << "no error";
    } catch (const PeerLost& lost) {
      EXPECT_EQ(lost.peers(), expected) << lost.what();
    }
    EXPECT_LT(Clock::now() - begin, seconds(10));
  }
}

}  // namespace
}  // namespace convoy::distributed
