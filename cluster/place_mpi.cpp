// Ranks that an MPI launcher started: mpirun of Open MPI, and what speaks PMI (MPICH's hydra, srun --mpi=pmi2).
#include <optional>
#include <string>

#include "cluster/place_detectors.h"

namespace convoy::cluster {

std::optional<Place> place_from_open_mpi(const Environment& environment) {
  constexpr char kRank[] = "OMPI_COMM_WORLD_RANK";
  constexpr char kWorld[] = "OMPI_COMM_WORLD_SIZE";
  constexpr char kLocalRank[] = "OMPI_COMM_WORLD_LOCAL_RANK";
  constexpr char kLocalWorld[] = "OMPI_COMM_WORLD_LOCAL_SIZE";
  std::string present;
  for (const char* name : {kRank, kWorld}) {
    if (present.empty() && environment(name)) present = name;
  }
  if (present.empty()) return std::nullopt;

  Place place;
  place.launcher = Launcher::kOpenMpi;
  const auto number = [&](const char* name) { return required_number(environment, name, present, place.launcher); };
  place.rank = number(kRank);
  place.world = number(kWorld);
  place.local_rank = number(kLocalRank);
  place.local_world = number(kLocalWorld);
  check_rank({kRank, place.rank, kWorld, place.world});
  check_rank({kLocalRank, place.local_rank, kLocalWorld, place.local_world});
  check_local_world(kLocalWorld, kWorld, place);
  for (const char* name : {"PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid"}) {
    if (place.job.empty()) place.job = environment(name).value_or("");
  }
  place.incarnation = place.job;
  place.detected_by = evidence(place.launcher, kRank, kWorld, place);
  return place;
}

std::optional<Place> place_from_pmi(const Environment& environment) {
  constexpr char kRank[] = "PMI_RANK";
  constexpr char kWorld[] = "PMI_SIZE";
  constexpr char kLocalRank[] = "MPI_LOCALRANKID";
  constexpr char kLocalWorld[] = "MPI_LOCALNRANKS";
  std::string present;
  for (const char* name : {kRank, kWorld}) {
    if (present.empty() && environment(name)) present = name;
  }
  if (present.empty()) return std::nullopt;

  Place place;
  place.launcher = Launcher::kPmi;
  place.rank = required_number(environment, kRank, present, place.launcher);
  place.world = required_number(environment, kWorld, present, place.launcher);
  check_rank({kRank, place.rank, kWorld, place.world});
  if (environment(kLocalRank)) {
    place.local_rank = required_number(environment, kLocalRank, kLocalRank, place.launcher);
    place.local_world = required_number(environment, kLocalWorld, kLocalRank, place.launcher);
    check_rank({kLocalRank, place.local_rank, kLocalWorld, place.local_world});
    check_local_world(kLocalWorld, kWorld, place);
  } else {
    find_local_rank_in_slurm_step(environment, place);
  }
  find_slurm_job(environment, place);
  place.detected_by = evidence(place.launcher, kRank, kWorld, place);
  return place;
}

}  // namespace convoy::cluster
