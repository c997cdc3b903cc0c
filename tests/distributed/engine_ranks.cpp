#include "tests/distributed/engine_ranks.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "distributed/mpi/mpi_engine.h"
#include "distributed/pages.h"
#include "tests/distributed/process_ranks.h"
#include "tests/distributed/tcp/tcp_ranks.h"

namespace convoy::distributed::testing {
namespace {

std::optional<std::string> variable(const std::string& name) {
  const char* const value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

std::unique_ptr<MpiSession>& session() {
  static std::unique_ptr<MpiSession> only;
  return only;
}

class MpiEnd : public ::testing::Environment {
  void TearDown() override {
    if (session()) session()->finish(std::chrono::seconds(10));
    session().reset();
  }
};
const ::testing::Environment* const kMpiEnd = ::testing::AddGlobalTestEnvironment(new MpiEnd);

}  // namespace

MpiSession& mpi_session() {
  if (!session()) session() = std::make_unique<MpiSession>(MpiSessionOptions{{CONVOY_MPI_MODULE}, variable});
  return *session();
}

std::vector<EngineRanks> engines_to_test() {
  if (const auto size = variable("OMPI_COMM_WORLD_SIZE")) return {{"mpi", std::stoi(*size)}};
  std::vector<EngineRanks> engines;
  for (const char* const engine : {"local", "gloo"})
    for (const std::int32_t size : {1, 2, 3, 4}) engines.push_back({engine, size});
  return engines;
}

std::vector<EngineRanks> engines_that_rebuild(std::int32_t size) {
  if (variable("OMPI_COMM_WORLD_SIZE")) return {};
  return {{"local", size}, {"gloo", size}};
}

void run_on(const EngineRanks& ranks, const std::function<void(EngineRank&)>& body, std::int32_t killed) {
  if (ranks.engine == "local") {
    RanksOptions options;
    options.killed = killed;
    run_ranks(
        ranks.size,
        [&](RankContext& context) {
          EngineRank rank{context.rank, context.communicator(), context.segment.arena()};
          for (const LocalMember& member : context.members) rank.members.push_back(member.uuid);
          rank.pids = context.pids;
          rank.connect = [&context](const Ballot& ballot, std::chrono::milliseconds timeout) {
            LocalOptions next = context.options();
            next.ballot = ballot;
            next.timeout = timeout;
            return make_local_communicator(std::move(next));
          };
          body(rank);
        },
        options);
    return;
  }
  if (ranks.engine == "gloo") {
    run_tcp_ranks(ranks.size,
                  [&](TcpRankContext& context) {
                    const Pages arena(4 << 20);
                    EngineRank rank{context.rank, context.communicator(), arena.span()};
                    for (const TcpMember& member : context.members) rank.members.push_back(member.uuid);
                    rank.pids = context.pids;
                    rank.connect = [&context](const Ballot& ballot, std::chrono::milliseconds timeout) {
                      TcpMeeting next = context.meeting();
                      next.ballot = ballot;
                      next.timeout = timeout;
                      return context.communicator(next);
                    };
                    body(rank);
                  },
                  {.killed = killed});
    return;
  }
  const auto engine = make_mpi_engine(mpi_session(), 4 << 20);
  EpochView epoch;
  epoch.ballot = {1, 1};
  epoch.rank = mpi_session().rank();
  EngineRank rank{epoch.rank, engine->connect(epoch), engine->arena()};
  ASSERT_EQ(rank.communicator->size(), ranks.size);
  body(rank);
}

}  // namespace convoy::distributed::testing
