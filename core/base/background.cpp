#include "core/base/background.h"

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

void work_in_background() noexcept {
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), 19);
  ::syscall(SYS_ioprio_set, kWhoProcess, 0, kBestEffort << kClassShift | kLowest);
}

}  // namespace convoy
