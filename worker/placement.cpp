#include "worker/placement.h"

#include <sched.h>

#include <cerrno>
#include <vector>

#include "core/base/error.h"

namespace convoy::worker {

void bind_to_cores(std::int32_t local_rank, std::int32_t local_world, std::int64_t threads, Logger& logger) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return;
  std::vector<int> cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &allowed)) cores.push_back(core);
  }
  const std::int64_t wanted = local_world * threads;
  if (static_cast<std::int64_t>(cores.size()) < wanted) {
    if (local_rank == 0)
      logger.warning("{} workers with {} thread(s) each share {} cores: expect them to be slow", local_world, threads,
                     cores.size());
    return;
  }
  if (2 * wanted <= static_cast<std::int64_t>(cores.size())) return;
  cpu_set_t mine;
  CPU_ZERO(&mine);
  for (std::int64_t i = 0; i < threads; ++i) CPU_SET(cores[static_cast<std::size_t>(local_rank * threads + i)], &mine);
  if (sched_setaffinity(0, sizeof(mine), &mine) != 0)
    logger.warning("cannot bind to {} of the cores: {}", threads, errno_text(errno));
}

}  // namespace convoy::worker
