#include "distributed/tcp/tcp_engine.h"

#include <gtest/gtest.h>

#include <thread>

#include "cluster/address.h"
#include "distributed/tcp/tcp_socket.h"

namespace convoy::distributed {
namespace {

std::unique_ptr<Engine> engine_of(EngineOptions options) {
  options.self = Uuid::random();
  options.arena_bytes = 4096;
  return make_engine(options);
}

TEST(TcpEngineTest, RanksOfOneProcessGoFromEpochToEpoch) {
  std::vector<std::unique_ptr<Engine>> engines;
  std::vector<cluster::Member> members;
  for (std::int32_t rank = 0; rank < 3; ++rank) {
    engines.push_back(engine_of({.kind = "gloo", .scheduler = "tcp://127.0.0.1:1", .self = {}}));
    EXPECT_EQ(engines.back()->name(), "gloo");
    members.push_back({.uuid = Uuid::random(),
                       .rank = rank,
                       .host = "here",
                       .pid = rank,
                       .meeting_place = engines.back()->meeting_place()});
  }
  // One leaves with every epoch, down to a run of one.
  for (std::uint32_t attempt = 1; attempt <= 3; ++attempt) {
    std::vector<std::jthread> ranks;
    for (std::size_t rank = 0; rank < members.size(); ++rank) {
      ranks.emplace_back([&, rank] {
        const auto communicator = engines[rank]->connect({.ballot = {1, attempt},
                                                          .rank = static_cast<std::int32_t>(rank),
                                                          .members = members,
                                                          .token = "t",
                                                          .timeout = std::chrono::seconds(20),
                                                          .stop = {}});
        double value = 1.0;
        communicator->all_reduce(ReduceType::kF64, &value, 1);
        EXPECT_EQ(value, static_cast<double>(members.size()));
      });
    }
    ranks.clear();
    members.pop_back();
  }
}

TEST(TcpEngineTest, WorkersThatSpanHostsAreMetWhereOthersReachThem) {
  const std::string on_one_host =
      engine_of({.kind = "gloo", .scheduler = "tcp://127.0.0.1:1", .self = {}})->meeting_place();
  EXPECT_TRUE(on_one_host.starts_with("127.0.0.1:")) << on_one_host;
  const std::vector<std::string> own = cluster::own_addresses();
  if (own.empty()) GTEST_SKIP() << "this host has no address but loopback";
  // On the scheduler's own host, and on another one.
  for (const std::string& scheduler : {std::string("tcp://127.0.0.1:1"), "tcp://" + own.front() + ":1"}) {
    const auto engine = engine_of({.kind = "auto", .spans_hosts = true, .scheduler = scheduler, .self = {}});
    EXPECT_EQ(engine->name(), "gloo");
    EXPECT_TRUE(engine->meeting_place().starts_with(own.front() + ":")) << engine->meeting_place();
  }
}

}  // namespace
}  // namespace convoy::distributed
