#include "core/base/background.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace convoy {
namespace {

// <linux/ioprio.h> is not everywhere.
constexpr int kWhoProcess = 1;  // a thread, for the kernel; 0: the calling one
constexpr int kBestEffort = 2;  // the idle class would never get to a disk that is always busy
constexpr int kLowest = 7;
constexpr int kClassShift = 13;

}  // namespace

Cores allowed_cores() {
  Cores cores;
  cpu_set_t allowed;
  if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &allowed)) cores.push_back(core);
  }
  return cores;
}

void work_in_background(const Cores& cores) noexcept {
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), 19);
  ::syscall(SYS_ioprio_set, kWhoProcess, 0, kBestEffort << kClassShift | kLowest);
  if (cores.empty()) return;
  cpu_set_t wanted;
  CPU_ZERO(&wanted);
  for (const int core : cores) CPU_SET(core, &wanted);
  ::sched_setaffinity(0, sizeof wanted, &wanted);
}

}  // namespace convoy
