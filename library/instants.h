// Ends, stops or holds up this process at a named instant, so that tests find out what the others make of it. Set by an
// environment variable that users have no reason to know; without it nobody is asked.
//
//   CONVOY_AT="1@update@5=KILL 2+@copy@*=STOP+300 scheduler@journal@3=KILL"
//
// Who: a worker by the launcher's number, its replacement with a '+' (the next one with "++"), "scheduler", one that
// was started anew "scheduler+". Where: what the code calls the instant. When: after how many steps (of the scheduler:
// which time), or '*', the first time it comes by. What: KILL, STOP, TERM, USR1, USR2, SEGV, at once or so many
// microseconds later, from a thread of its own, wherever the process has got to by then; or WAIT+MICROSECONDS, which
// holds up the thread that came by.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "cluster/place.h"

namespace convoy::library {

inline constexpr char kInstantsVariable[] = "CONVOY_AT";

// What is to happen to `who`, each thing once in a process; any thread may call it. Empty where nothing is. Throws
// Error(kUsage) for a variable that does not read as above.
using AtInstant = std::function<void(std::string_view instant, std::int64_t step)>;
AtInstant instants_of(const std::string& who, const cluster::Environment& environment);

}  // namespace convoy::library
