// Ends or stops this process at a named instant, so that tests find out what the others make of it. Set by an
// environment variable that users have no reason to know; without it a worker asks nobody.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "cluster/place.h"

namespace convoy::library {

inline constexpr char kInstantsVariable[] = "CONVOY_AT";

// CONVOY_AT="1@update@5=KILL 2+@copy@0=STOP scheduler@journal@3=KILL": who (a worker by the launcher's number, its
// replacement with a '+', or "scheduler"), where, after how many steps (of the scheduler: which time), and the signal.
// Each happens once in a process. Empty without the variable. Throws Error(kUsage) for what it does not say so.
using AtInstant = std::function<void(std::string_view instant, std::int64_t step)>;
AtInstant instants_of(const std::string& who, const cluster::Environment& environment);

}  // namespace convoy::library
