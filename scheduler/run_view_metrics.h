// A RunView in the text format that Prometheus reads: what /metrics says. docs/status.md lists the metrics.
#pragma once

#include <string>

#include "scheduler/run_view.h"

namespace convoy::scheduler {

// Text format 0.0.4. Durations are in seconds, times in seconds since the epoch.
std::string to_metrics(const RunView& view);
inline constexpr char kMetricsType[] = "text/plain; version=0.0.4; charset=utf-8";

}  // namespace convoy::scheduler
