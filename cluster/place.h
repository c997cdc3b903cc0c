// Where this process stands in a run: found from the environment that its launcher left, in a fixed order: Convoy's own
// variables, Open MPI's, PMI's (MPICH's hydra, srun --mpi=pmi2), those of a Slurm step, or none.
//
// Each launcher has a detector in a file of its own (cluster/place_*.cpp). Variables of an outer launcher stay set in
// its children, so the order matters: whoever is nearest to this process comes first.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "cluster/link.h"

namespace convoy::cluster {

// Reads one environment variable. main() passes the real one; nothing else looks at the environment.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

enum class Launcher : std::uint8_t { kNone, kConvoy, kOpenMpi, kPmi, kSlurm };
std::string_view launcher_name(Launcher launcher);  // "convoy launch", "Open MPI", …

struct Place {
  static constexpr std::int32_t kJoins = -1;

  std::int32_t rank = 0;   // kJoins: it joins a run under way, whose scheduler numbers it
  std::int32_t world = 1;  // to begin with; of who joins: those that do so together
  // Among the workers of this host. 0 of 1 where the launcher does not tell: then nothing is known to share the host.
  std::int32_t local_rank = 0;
  std::int32_t local_world = 1;
  std::optional<Credentials> scheduler;  // absent: the workers bring the scheduler along
  Launcher launcher = Launcher::kNone;
  std::string detected_by;  // "Open MPI: OMPI_COMM_WORLD_RANK=1, OMPI_COMM_WORLD_SIZE=4": logged at the start
  bool open = false;        // workers of other hosts may join the run (convoy launch --listen)
  // What the launcher calls this run, the same on all ranks and after a requeue ("4711.0"); empty where it says
  // nothing.
  std::string job;
  // The same for this one start of it; empty with `job`.
  std::string incarnation;

  bool joins() const { return rank == kJoins; }
  bool spans_hosts() const { return open || local_world < world; }
};

// Names of the variables `convoy launch` sets for its workers.
inline constexpr char kRankVariable[] = "CONVOY_RANK";
inline constexpr char kWorldVariable[] = "CONVOY_WORLD_SIZE";
inline constexpr char kLocalRankVariable[] = "CONVOY_LOCAL_RANK";
inline constexpr char kLocalWorldVariable[] = "CONVOY_LOCAL_WORLD_SIZE";
inline constexpr char kSchedulerVariable[] = "CONVOY_SCHEDULER";
inline constexpr char kSchedulerKeyVariable[] = "CONVOY_SCHEDULER_KEY";
inline constexpr char kTokenVariable[] = "CONVOY_TOKEN";
inline constexpr char kRunVariable[] = "CONVOY_RUN";            // the run directory
inline constexpr char kOpenVariable[] = "CONVOY_OPEN";          // 1: workers of other hosts may join
inline constexpr char kReplacesVariable[] = "CONVOY_REPLACES";  // how many ended in this worker's place
inline constexpr char kLifelineVariable[] = "CONVOY_LIFELINE";  // descriptor: end of file means the launcher is gone
inline constexpr char kSchedulerWordsVariable[] = "CONVOY_SCHEDULER_FD";  // where a program reads which scheduler to be
inline constexpr char kAddressDescriptorVariable[] = "CONVOY_ADDRESS_FD";  // where a scheduler writes its address

// What `--place` may say: "auto" tries all in order, the others only one (Convoy's own variables win all the same).
inline constexpr std::string_view kPlaceChoices[] = {"auto", "alone", "openmpi", "pmi", "slurm"};

// Throws Error(kUsage) when variables contradict each other, naming them, or when there are none of the launcher that
// `choice` names.
Place find_place(const Environment& environment, std::string_view choice = "auto");

}  // namespace convoy::cluster
