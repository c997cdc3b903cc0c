// How the parts of cluster/place.h look for their launcher's variables. A detector answers for one launcher: nothing
// when its variables are absent, Error(kUsage) when they make no sense.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cluster/place.h"

namespace convoy::cluster {

std::optional<Place> place_from_open_mpi(const Environment& environment);
std::optional<Place> place_from_pmi(const Environment& environment);
std::optional<Place> place_from_slurm(const Environment& environment);

// The variable's value, which must be there because `because`, of the same launcher, is.
std::string required(const Environment& environment, const std::string& name, const std::string& because,
                     Launcher launcher);
std::int32_t required_number(const Environment& environment, const std::string& name, const std::string& because,
                             Launcher launcher);
std::int32_t number_of(const std::string& name, const std::string& text);

// A number that counts members, and how many there are, with the names of the variables they come from.
struct NamedRank {
  const char* rank_name;
  std::int32_t rank;
  const char* world_name;
  std::int32_t world;
};
void check_rank(const NamedRank& named);
// That the workers of a host are not more than those of the run.
void check_local_world(const char* local_name, const char* world_name, const Place& place);

// "Slurm: SLURM_PROCID=0, SLURM_STEP_NUM_TASKS=4".
std::string evidence(Launcher launcher, const char* rank_name, const char* world_name, const Place& place);

// The rank among the tasks of this node of a Slurm step, from SLURM_LOCALID and SLURM_STEP_TASKS_PER_NODE: fills in
// local_rank and local_world, if the step says so.
void find_local_rank_in_slurm_step(const Environment& environment, Place& place);
// The step's name into job and incarnation, if this is one.
void find_slurm_job(const Environment& environment, Place& place);

}  // namespace convoy::cluster
