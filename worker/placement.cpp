#include "worker/placement.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "core/base/error.h"

namespace convoy::worker {

namespace {

namespace fs = std::filesystem;

std::vector<int> cores_of(const cpu_set_t& set) {
  std::vector<int> cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) cores.push_back(core);
  }
  return cores;
}

// Whether the launcher, our parent, gave this worker fewer cores than it has itself.
bool has_own_cores(const cluster::Place& place, const cpu_set_t& allowed) {
  if (place.launcher == cluster::Launcher::kNone || place.launcher == cluster::Launcher::kConvoy) return false;
  cpu_set_t of_launcher;
  return sched_getaffinity(getppid(), sizeof(of_launcher), &of_launcher) == 0 && !CPU_EQUAL(&of_launcher, &allowed);
}

// Of a process; -1: it has none, or has just ended. The name before it may hold anything but a ')'.
int parent_of(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string stat;
  std::getline(file, stat);
  const std::size_t name_end = stat.rfind(") ");
  if (name_end == std::string::npos) return -1;
  int parent = -1;
  const char* const begin = stat.data() + std::min(stat.size(), name_end + 4);  // the state stands between
  std::from_chars(begin, stat.data() + stat.size(), parent);
  return parent;
}

// Threads of the kernel are bound to cores too, and have no program.
bool has_program(int pid) {
  std::error_code error;
  return !fs::read_symlink("/proc/" + std::to_string(pid) + "/exe", error).empty() && !error;
}

}  // namespace

std::vector<int> processes_bound_to(std::span<const int> cores, int parent) {
  std::vector<int> bound;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename();
    int pid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), pid).ptr != name.data() + name.size()) continue;
    cpu_set_t set;
    if (pid == getpid() || sched_getaffinity(pid, sizeof(set), &set) != 0) continue;
    std::vector<int> of_these;
    std::ranges::copy_if(cores, std::back_inserter(of_these), [&](int core) { return CPU_ISSET(core, &set); });
    if (of_these.size() == cores.size() || parent_of(pid) == parent || !has_program(pid)) continue;
    for (const int core : of_these) {
      bound.resize(std::max(bound.size(), static_cast<std::size_t>(core) + 1));
      ++bound[static_cast<std::size_t>(core)];
    }
  }
  return bound;
}

std::vector<int> least_bound_first(std::vector<int> cores, std::span<const int> bound) {
  const auto count = [&](int core) {
    const auto index = static_cast<std::size_t>(core);
    return index < bound.size() ? bound[index] : 0;
  };
  std::ranges::stable_sort(cores, {}, count);
  return cores;
}

void bind_to_cores(const cluster::Place& place, std::int64_t threads, Logger& logger) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return;
  std::vector<int> cores = cores_of(allowed);
  if (has_own_cores(place, allowed)) {
    if (static_cast<std::int64_t>(cores.size()) < threads && place.local_rank == 0)
      logger.warning(
          "a worker with {} threads has {} core(s) of its launcher: expect it to be slow (mpirun: --map-by "
          "slot:PE={})",
          threads, cores.size(), threads);
    return;
  }
  const std::int64_t wanted = place.local_world * threads;
  if (static_cast<std::int64_t>(cores.size()) < wanted) {
    if (place.local_rank == 0)
      logger.warning("{} workers with {} thread(s) each share {} cores: expect them to be slow", place.local_world,
                     threads, cores.size());
    return;
  }
  std::int64_t taken = 0;  // by others
  if (place.joins()) {
    const std::vector<int> bound = processes_bound_to(cores, getppid());
    cores = least_bound_first(std::move(cores), bound);
    taken = std::ranges::count_if(cores, [&](int core) {
      return static_cast<std::size_t>(core) < bound.size() && bound[static_cast<std::size_t>(core)] > 0;
    });
  }
  if (2 * (wanted + taken) <= static_cast<std::int64_t>(cores.size())) return;
  cpu_set_t mine;
  CPU_ZERO(&mine);
  for (std::int64_t i = 0; i < threads; ++i)
    CPU_SET(cores[static_cast<std::size_t>(place.local_rank * threads + i)], &mine);
  if (sched_setaffinity(0, sizeof(mine), &mine) != 0)
    logger.warning("cannot bind to {} of the cores: {}", threads, errno_text(errno));
}

}  // namespace convoy::worker
