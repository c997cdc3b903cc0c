// What libconvoy_mpi.so offers: the few calls of MPI that the engine "mpi" needs, behind plain C, so that only the
// module is built against a site's MPI and nothing of MPI is loaded unless its engine is used.
//
// All functions are called from one thread, the session's own (distributed/mpi/session.h); none of them waits for a
// peer, but for start() and stop(). Those that return an int return 0, or another number with one line in `text`, which
// has room for kMpiText bytes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace convoy::distributed {

inline constexpr char kMpiModuleName[] = "libconvoy_mpi.so";
inline constexpr char kMpiModuleSymbol[] = "convoy_mpi_module";
inline constexpr std::int32_t kMpiModuleVersion = 1;
inline constexpr std::size_t kMpiText = 512;

struct MpiTransfer {
  const void* send = nullptr;  // one of the two is set
  void* receive = nullptr;
  std::size_t bytes = 0;  // any number; at least 1
  std::int32_t peer = 0;
  std::int32_t tag = 0;
};

// Requests under way.
struct MpiBatch;

struct MpiModule {
  std::int32_t version;
  // "Open MPI v4.1.4". Any time.
  const char* (*library)();
  // Why MPI cannot start in this process, as far as its environment tells; empty if nothing speaks against it. Asked
  // first because MPI itself ends the process where it cannot start. `variable` reads the environment.
  const char* (*obstacle)(const char* (*variable)(void* context, const char* name), void* context);
  int (*start)(std::int32_t* rank, std::int32_t* size, char* text);
  int (*stop)(char* text);  // collective

  MpiBatch* (*open)();
  int (*post)(MpiBatch* batch, const MpiTransfer* transfer, char* text);
  // Moves data; *done once all of the batch is through.
  int (*test)(MpiBatch* batch, int* done, char* text);
  void (*close)(MpiBatch* batch);  // gives up what is not through: its buffers may be of no use, but are not touched

  // Tells every peer that this process gave up, without waiting for anybody.
  void (*tell_abort)();
  // The rank of a peer that gave up, -1 while there is none.
  std::int32_t (*aborted_peer)();
};

}  // namespace convoy::distributed
