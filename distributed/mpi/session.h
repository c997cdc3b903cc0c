// This process's part in an MPI job, from MPI_Init to MPI_Finalize, and the thread that makes every call of MPI.
//
// MPI moves nothing while nobody calls it, so the thread keeps at it while an exchange is under way; others hand it
// exchanges and go on computing, or wait. A process has one session at most, because MPI can be started once.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "distributed/mpi/module.h"

namespace convoy::distributed {

struct MpiSessionOptions {
  std::vector<std::string> modules;  // paths where libconvoy_mpi.so may lie; a bare name is looked up by the system
  std::function<std::optional<std::string>(const std::string& name)> environment;  // only asked what started us
};

// Transfers that are under way together.
struct MpiExchange;
using MpiExchangePtr = std::shared_ptr<MpiExchange>;

class MpiSession {
 public:
  // Loads the module and starts MPI, which waits for the other processes. Throws Error(kUsage) where there is no
  // module, or where MPI cannot start in a process started like this one; Error(kUnavailable) where it failed to.
  explicit MpiSession(const MpiSessionOptions& options);
  // Without finish() MPI is left as it is, as after a failure: mpirun ends the job then.
  ~MpiSession();
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;

  std::int32_t rank() const;
  std::int32_t size() const;
  std::string library() const;  // "Open MPI v4.1.4"

  // Begins the transfers and returns; their memory must stay until wait(). From one thread at a time. Between two
  // processes, what one sends under a tag is received under it in the same order.
  MpiExchangePtr begin(std::vector<MpiTransfer> transfers);
  // Returns when all transfers are through. Throws Error(kPeerLost) when MPI reports an error or somebody aborted;
  // nothing touches the transfers' memory from then on, and the session is broken for good.
  void wait(const MpiExchangePtr& exchange);

  // Makes current and future exchanges fail here, and soon on every other process that calls MPI. Any thread.
  void abort() noexcept;

  // Collective: MPI_Finalize. Gives up waiting for the others after `timeout`. Nothing after an abort.
  void finish(std::chrono::milliseconds timeout);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;  // the thread keeps it too, for when MPI never lets it go
};

}  // namespace convoy::distributed
