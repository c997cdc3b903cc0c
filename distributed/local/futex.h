// Sleeping on words of memory that several processes map.
#pragma once

#include <atomic>
#include <cstdint>

namespace convoy::distributed {

using Word = std::atomic<std::uint32_t>;
static_assert(Word::is_always_lock_free && sizeof(Word) == sizeof(std::uint32_t));

// How to sleep on two words at once.
enum class SleepMode {
  kWaitv,  // futex_waitv, since Linux 5.16
  kTimed,  // on the shared word alone, for a millisecond at a time
};
SleepMode best_sleep_mode() noexcept;

// Sleeps while `shared` (in memory of any process) holds `shared_value` and `own` (of this process) holds
// `own_value`. May return early; the caller looks again.
void sleep_while(SleepMode mode, const Word& shared, std::uint32_t shared_value, const Word& own,
                 std::uint32_t own_value) noexcept;

// Wakes all sleepers: processes that sleep on a shared word, threads that sleep on an own one.
void wake_shared(const Word& shared) noexcept;
void wake_own(const Word& own) noexcept;

}  // namespace convoy::distributed
