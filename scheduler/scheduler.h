// The scheduler of a run: listens for workers and agents, lets Membership decide, keeps the records. It is never on a
// step's path. `convoy scheduler` runs one as a process; a run of one has it in a thread of its worker.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "cluster/link.h"
#include "cluster/messages.h"
#include "core/base/log.h"
#include "scheduler/membership.h"

namespace convoy::scheduler {

struct SchedulerOptions {
  std::string run_directory;  // exists
  std::string listen = "tcp://127.0.0.1:0";
  std::string token;                 // cluster::make_token()
  std::int32_t world = 1;            // workers to begin with
  std::int32_t min_workers = 1;      // with fewer the run waits (limits.too_few), then stops after a checkpoint
  std::int32_t max_workers = 0;      // more are refused; 0: any number
  bool rebuilds = true;              // a death costs no step; false (engine mpi): it ends the run
  bool restarted = false;            // only the scheduler: the workers live and know their epoch
  std::int64_t steps = 0;            // of the whole run
  std::int64_t resume_step = 0;      // steps that stand in a checkpoint, from which the run goes on
  std::int64_t checkpoint_step = 0;  // of the newest that stands by now: of one written meanwhile nobody was told
  std::string program = "convoy";    // whose `resume` goes on with the run, for messages
  std::string http{};                // where the status page is served: StatusPageOptions::http
  Limits limits;
  // Told when an instant comes by that tests wait for, and for which time, from 1: "journal" (before a record is
  // appended), "journaled", "seal" (a round's seals are out), "answer" (a worker's to one is taken in), "announce"
  // (before an epoch is), "announcing" (one member was told), "announced", "final" (before the final report is
  // written), "finaled" (before anybody hears of that). May be empty.
  std::function<void(std::string_view, std::int64_t)> at_instant;
  // Called by run()'s thread, beside the messages to agents; may be empty.
  std::function<void(const cluster::Progress&)> on_progress;
  std::function<void(const std::string&)> on_notice;
};

class Scheduler {
 public:
  // Starts a term in the run's journal and listens. Throws Error(kUnavailable) for files and sockets that cannot be
  // had, Error(kInvalidArgument) for a malformed token. `logger` outlives it.
  Scheduler(SchedulerOptions options, Logger& logger);
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  const cluster::Credentials& credentials() const;

  // Serves until the run has ended. Returns the run's exit code.
  int run();
  // Why the run ended, empty when it was complete. Once run() has returned.
  const std::string& reason() const;

  // Both end the run, from any thread; run() returns once every worker has left. `reason` is one line ("stopped by
  // SIGINT"). The first asks the workers to finish their step and write a checkpoint, the second to leave at once.
  void request_stop(std::string reason);
  void stop_now(std::string reason);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace convoy::scheduler
