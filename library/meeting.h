// How the workers of an mpirun or srun find the scheduler that rank 0 starts: its whereabouts travel through MPI where
// the run uses it, otherwise in a file in the run directory, which all hosts must see.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "cluster/link.h"
#include "cluster/place.h"
#include "distributed/mpi/session.h"
#include "launcher/scheduler_file.h"

namespace convoy::library {

// runs/RECIPE-JOB unless the user named one. Throws Error(kUsage) where there is no job all ranks know.
std::string common_run_directory(const std::optional<std::string>& given, const std::string& recipe,
                                 const cluster::Place& place);

// Where the others find a scheduler on this host: at its loopback address or, where they may be on other hosts, at any
// address that those may know this one by. `resume_step`: see launcher::Whereabouts.
launcher::Whereabouts whereabouts_of(const cluster::Credentials& scheduler, const cluster::Place& place,
                                     std::int64_t resume_step);

// Rank 0's side of a meeting through a file; the file stands while this lives.
class MeetingFile {
 public:
  // Removes what an earlier start left. Throws Error(kUnavailable).
  MeetingFile(const std::string& run_directory, const launcher::Whereabouts& whereabouts);

 private:
  launcher::SchedulerFile file_;
};

// Rank 0, when there will be no run: tells the others, who wait, for a moment. Nothing is left behind.
void call_off_meeting(const std::string& run_directory, const cluster::Place& place, int exit_code) noexcept;

// What another rank learns.
struct Word {
  std::optional<cluster::Credentials> scheduler;  // else the meeting is off:
  int exit_code = 1;                              // and rank 0 has said why
  std::int64_t resume_step = 0;                   // see launcher::Whereabouts
};
// Waits for rank 0's word. Throws Error(kPeerLost) when none comes, naming what was tried.
Word wait_for_word(const std::string& run_directory, const cluster::Place& place, std::chrono::milliseconds timeout);
// Where the run's scheduler is now, if it says so in the run directory and answers there. Throws nothing.
std::optional<cluster::Credentials> find_scheduler(const std::string& run_directory, const std::string& token);

// Waits, no longer than `timeout`, until rank 0's meeting through a file is over: it has said how the run ended.
void wait_for_end_of_meeting(const std::string& run_directory, std::chrono::milliseconds timeout);

// The same through MPI: collective. Rank 0 passes what to tell; nothing if the meeting is off.
void tell_through_mpi(distributed::MpiSession& session, const std::optional<launcher::Whereabouts>& whereabouts,
                      int exit_code);
Word hear_through_mpi(distributed::MpiSession& session);

}  // namespace convoy::library
