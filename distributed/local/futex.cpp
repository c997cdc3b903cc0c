#include "distributed/local/futex.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <ctime>

namespace convoy::distributed {
namespace {

#ifdef SYS_futex_waitv
constexpr long kFutexWaitv = SYS_futex_waitv;
#else
constexpr long kFutexWaitv = 449;  // the same on every architecture
#endif

// As in <linux/futex.h> since Linux 5.16; older headers lack it.
struct WaitEntry {
  std::uint64_t value;
  std::uint64_t address;
  std::uint32_t flags;
  std::uint32_t reserved;
};
constexpr std::uint32_t kFutex32 = 2;

WaitEntry entry(const Word& word, std::uint32_t value, std::uint32_t flags) {
  return {value, reinterpret_cast<std::uint64_t>(&word), flags, 0};
}

}  // namespace

SleepMode best_sleep_mode() noexcept {
  // No entries are an error to a kernel that knows the call.
  return syscall(kFutexWaitv, nullptr, 0, 0, nullptr, 0) < 0 && errno == ENOSYS ? SleepMode::kTimed : SleepMode::kWaitv;
}

void sleep_while(SleepMode mode, const Word& shared, std::uint32_t shared_value, const Word& own,
                 std::uint32_t own_value) noexcept {
  if (mode == SleepMode::kWaitv) {
    const WaitEntry entries[] = {entry(shared, shared_value, kFutex32),
                                 entry(own, own_value, kFutex32 | FUTEX_PRIVATE_FLAG)};
    syscall(kFutexWaitv, entries, 2, 0, nullptr, 0);
  } else if (own.load() == own_value) {
    const timespec millisecond{0, 1'000'000};
    syscall(SYS_futex, &shared, FUTEX_WAIT, shared_value, &millisecond, nullptr, 0);
  }
}

void wake_shared(const Word& shared) noexcept { syscall(SYS_futex, &shared, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0); }

void wake_own(const Word& own) noexcept {
  syscall(SYS_futex, &own, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace convoy::distributed
