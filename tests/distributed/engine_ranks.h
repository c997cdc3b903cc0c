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

struct EngineRank {
  std::int32_t rank = 0;
  std::unique_ptr<Communicator> communicator;
  std::span<std::byte> arena;   // 4 MiB
  std::vector<Uuid> members{};  // in rank order
  std::vector<pid_t> pids{};    // of the ranks started before this one
  // Of the engines that make a new one for every epoch: meets the members as they were, under this ballot.
  std::function<std::unique_ptr<Communicator>(const Ballot&, std::chrono::milliseconds timeout)> connect{};
};
// `killed`: a rank that is expected to die of SIGKILL.
void run_on(const EngineRanks& ranks, const std::function<void(EngineRank&)>& body, std::int32_t killed = -1);

// Of this process, for as long as it lives; MPI is finalised when all tests are done.
MpiSession& mpi_session();

}  // namespace convoy::distributed::testing
