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

// The rank that `context` makes, of members that are met where `place` says.
template <typename Context, typename Member>
EngineRank rank_of(const Context& context, std::span<std::byte> arena, std::string Member::*place) {
  EngineRank rank{.rank = context.rank, .arena = arena, .pids = context.pids};
  for (const Member& member : context.members) {
    rank.members.push_back(member.uuid);
    rank.places.push_back(member.*place);
  }
  return rank;
}

// `options` are those of an engine's meeting.
template <typename Options>
void set_terms(Options& options, const Terms& terms) {
  options.ballot = terms.ballot;
  options.timeout = terms.timeout;
  options.token = terms.token;
  for (std::size_t rank = 0; rank < terms.members.size(); ++rank) options.members[rank].uuid = terms.members[rank];
}

void run_local(std::int32_t size, const std::function<void(EngineRank&)>& body, std::int32_t killed) {
  RanksOptions options;
  options.killed = killed;
  const auto run = [&body](RankContext& context) {
    EngineRank rank = rank_of(context, context.segment.arena(), &LocalMember::socket);
    rank.connect = [&context](const Terms& terms) {
      LocalOptions meeting = context.options();
      set_terms(meeting, terms);
      return make_local_communicator(std::move(meeting));
    };
    body(rank);
  };
  run_ranks(size, run, options);
}

void run_gloo(std::int32_t size, const std::function<void(EngineRank&)>& body, std::int32_t killed) {
  const auto run = [&body](TcpRankContext& context) {
    const Pages arena(4 << 20);
    EngineRank rank = rank_of(context, arena.span(), &TcpMember::place);
    rank.connect = [&context](const Terms& terms) {
      TcpMeeting meeting = context.meeting();
      set_terms(meeting, terms);
      return context.communicator(meeting);
    };
    body(rank);
  };
  run_tcp_ranks(size, run, {.killed = killed});
}

void run_mpi(std::int32_t size, const std::function<void(EngineRank&)>& body) {
  const auto engine = make_mpi_engine(mpi_session(), 4 << 20);
  EngineRank rank{.rank = mpi_session().rank(), .arena = engine->arena()};
  rank.connect = [&](const Terms& terms) {
    EpochView epoch;
    epoch.ballot = terms.ballot;
    epoch.rank = rank.rank;
    auto communicator = engine->connect(epoch);
    EXPECT_EQ(communicator->size(), size);
    return communicator;
  };
  body(rank);
}

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
  const auto meet_first = [&body](EngineRank& rank) {
    rank.communicator = rank.connect({});
    body(rank);
  };
  run_apart(ranks, meet_first, killed);
}

void run_apart(const EngineRanks& ranks, const std::function<void(EngineRank&)>& body, std::int32_t killed) {
  if (ranks.engine == "local") run_local(ranks.size, body, killed);
  if (ranks.engine == "gloo") run_gloo(ranks.size, body, killed);
  if (ranks.engine == "mpi") run_mpi(ranks.size, body);
}

}  // namespace convoy::distributed::testing
