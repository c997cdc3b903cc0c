#include "worker/placement.h"

#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "core/base/error.h"

namespace convoy::worker {

namespace {

// Whether the launcher, our parent, gave this worker fewer cores than it has itself.
bool has_own_cores(const cluster::Place& place, const cpu_set_t& allowed) {
  if (place.launcher == cluster::Launcher::kNone || place.launcher == cluster::Launcher::kConvoy) return false;
  cpu_set_t of_launcher;
  return sched_getaffinity(getppid(), sizeof(of_launcher), &of_launcher) == 0 && !CPU_EQUAL(&of_launcher, &allowed);
}

}  // namespace

void bind_to_cores(const cluster::Place& place, std::int64_t threads, Logger& logger) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return;
  std::vector<int> cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &allowed)) cores.push_back(core);
  }
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
  if (2 * wanted <= static_cast<std::int64_t>(cores.size())) return;
  cpu_set_t mine;
  CPU_ZERO(&mine);
  for (std::int64_t i = 0; i < threads; ++i)
    CPU_SET(cores[static_cast<std::size_t>(place.local_rank * threads + i)], &mine);
  if (sched_setaffinity(0, sizeof(mine), &mine) != 0)
    logger.warning("cannot bind to {} of the cores: {}", threads, errno_text(errno));
}

}  // namespace convoy::worker
