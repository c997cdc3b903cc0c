// A RunView as JSON: what /status.json and `convoy status --json` say. docs/status.md lists the fields.
#pragma once

#include <string>
#include <string_view>

#include "scheduler/run_view.h"

namespace convoy::scheduler {

inline constexpr int kViewSchemaVersion = 1;

// One line. What JSON cannot say (NaN, ∞, bytes that are no UTF-8) becomes null, or is replaced.
std::string to_json(const RunView& view);
// Throws Error(kDataLoss) for what is no such text, or of another schema version.
RunView view_of_json(std::string_view text);

}  // namespace convoy::scheduler
