// Runs a test body on every rank of an engine: of the engines "local" and "gloo" in processes of their own, of "mpi" in
// those that mpirun started (`mpirun -np N distributed_test` tests that engine, and no other, with N ranks).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "distributed/communicator.h"
#include "distributed/mpi/session.h"

namespace convoy::distributed::testing {

struct EngineRanks {
  std::string engine;
  std::int32_t size = 1;
};
inline void PrintTo(const EngineRanks& ranks, std::ostream* out) { *out << ranks.engine << ' ' << ranks.size; }

// What this process, as it was started, can test.
std::vector<EngineRanks> engines_to_test();

struct EngineRank {
  std::int32_t rank = 0;
  std::unique_ptr<Communicator> communicator;
  std::span<std::byte> arena;  // 4 MiB
};
void run_on(const EngineRanks& ranks, const std::function<void(EngineRank&)>& body);

// Of this process, for as long as it lives; MPI is finalised when all tests are done.
MpiSession& mpi_session();

}  // namespace convoy::distributed::testing
