// Runs a test body on every rank of an engine: of the engines "local" and "gloo" in processes of their own, of "mpi" in
// those that mpirun started (`mpirun -np N distributed_test` tests that engine, and no other, with N ranks).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "core/base/ballot.h"
#include "core/base/uuid.h"
#include "distributed/communicator.h"
#include "distributed/mpi/session.h"

namespace convoy::distributed::testing {

struct EngineRanks {
  std::string engine;
  std::int32_t size = 1;
};
inline void PrintTo(const EngineRanks& ranks, std::ostream* out) { *out << ranks.engine << ' ' << ranks.size; }

// What this process, as it was started, can test; and those among it that go on when a rank is lost.
std::vector<EngineRanks> engines_to_test();
std::vector<EngineRanks> engines_that_rebuild(std::int32_t size);

// How a rank comes to a meeting. Engines that are built once look at the ballot only.
struct Terms {
  Ballot ballot{1, 1};
  std::chrono::milliseconds timeout = std::chrono::seconds(20);
  std::string token = "the run's token";
  std::vector<Uuid> members{};  // whom it expects, in rank order; none: who they are
};

struct EngineRank {
  std::int32_t rank = 0;
  std::span<std::byte> arena;  // 4 MiB
  // Meets the others.
  std::function<std::unique_ptr<Communicator>(const Terms&)> connect{};
  std::unique_ptr<Communicator> communicator{};
  // In rank order, of the engines that make a new communicator for every epoch.
  std::vector<Uuid> members{};
  std::vector<std::string> places{};
  std::vector<pid_t> pids{};  // of the ranks started before this one
};
// `killed`: a rank that is expected to die of SIGKILL.
void run_on(const EngineRanks& ranks, const std::function<void(EngineRank&)>& body, std::int32_t killed = -1);
// The same with ranks that have not met: they have no communicator.
void run_apart(const EngineRanks& ranks, const std::function<void(EngineRank&)>& body, std::int32_t killed = -1);

// Of this process, for as long as it lives; MPI is finalised when all tests are done.
MpiSession& mpi_session();

}  // namespace convoy::distributed::testing
