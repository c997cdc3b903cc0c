// Tasks of a Slurm step. A batch script is none: it has SLURM_PROCID=0, but no SLURM_STEP_ID.
#include <algorithm>
#include <numeric>
#include <optional>
#include <string>

#include "cluster/host_list.h"
#include "cluster/place_detectors.h"
#include "core/base/error.h"

namespace convoy::cluster {
namespace {

constexpr char kStep[] = "SLURM_STEP_ID";
constexpr char kRank[] = "SLURM_PROCID";
constexpr char kWorld[] = "SLURM_STEP_NUM_TASKS";
constexpr char kLocalRank[] = "SLURM_LOCALID";
constexpr char kTasksPerNode[] = "SLURM_STEP_TASKS_PER_NODE";
constexpr char kNodes[] = "SLURM_STEP_NODELIST";

// Which of the step's nodes this is.
std::size_t node_index(const Environment& environment, std::size_t nodes) {
  if (nodes == 1) return 0;
  const auto list = environment(kNodes);
  const auto name = environment("SLURMD_NODENAME");
  if (list && name) {
    const auto hosts = expand_hosts(*list);
    const auto here = std::find(hosts.begin(), hosts.end(), *name);
    if (hosts.size() == nodes && here != hosts.end()) return static_cast<std::size_t>(here - hosts.begin());
    fail(ErrorCode::kUsage, "SLURMD_NODENAME={} is not one of the {} nodes of {}={}", *name, nodes, kNodes, *list);
  }
  const auto index = required_number(environment, "SLURM_NODEID", kTasksPerNode, Launcher::kSlurm);
  check_rank(
      {"SLURM_NODEID", index, "the number of nodes in SLURM_STEP_TASKS_PER_NODE", static_cast<std::int32_t>(nodes)});
  return static_cast<std::size_t>(index);
}

}  // namespace

void find_local_rank_in_slurm_step(const Environment& environment, Place& place) {
  const auto tasks_per_node = environment(kTasksPerNode);
  if (!tasks_per_node || !environment(kLocalRank)) return;
  const auto counts = expand_counts(*tasks_per_node);
  const std::int64_t tasks = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  if (tasks != place.world) {
    fail(ErrorCode::kUsage, "{}={} makes {} tasks, but there are {}", kTasksPerNode, *tasks_per_node, tasks,
         place.world);
  }
  place.local_world = counts[node_index(environment, counts.size())];
  place.local_rank = required_number(environment, kLocalRank, kTasksPerNode, Launcher::kSlurm);
  check_rank({kLocalRank, place.local_rank, kTasksPerNode, place.local_world});
}

void find_slurm_job(const Environment& environment, Place& place) {
  const auto job = environment("SLURM_JOB_ID");
  const auto step = environment(kStep);
  if (!job || !step) return;
  place.job = fmt::format("{}.{}", *job, *step);
  place.incarnation = fmt::format("{} start {}", place.job, environment("SLURM_RESTART_COUNT").value_or("0"));
}

std::optional<Place> place_from_slurm(const Environment& environment) {
  if (!environment(kStep) || !environment(kRank)) return std::nullopt;
  Place place;
  place.launcher = Launcher::kSlurm;
  place.rank = required_number(environment, kRank, kStep, place.launcher);
  place.world = required_number(environment, kWorld, kStep, place.launcher);
  check_rank({kRank, place.rank, kWorld, place.world});
  find_local_rank_in_slurm_step(environment, place);
  find_slurm_job(environment, place);
  place.detected_by = evidence(place.launcher, kRank, kWorld, place);
  return place;
}

}  // namespace convoy::cluster
