// Where this process stands in a run: found from the environment that its launcher left, in a fixed order.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "cluster/link.h"

namespace convoy::cluster {

// Reads one environment variable. main() passes the real one; nothing else looks at the environment.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

struct Place {
  std::int32_t rank = 0;
  std::int32_t world = 1;
  std::int32_t local_rank = 0;
  std::int32_t local_world = 1;
  std::optional<Credentials> scheduler;  // absent: this process brings the scheduler along
  std::string detected_by;               // "convoy launch", "alone": logged at the start
};

// Names of the variables `convoy launch` sets for its workers.
inline constexpr char kRankVariable[] = "CONVOY_RANK";
inline constexpr char kWorldVariable[] = "CONVOY_WORLD_SIZE";
inline constexpr char kLocalRankVariable[] = "CONVOY_LOCAL_RANK";
inline constexpr char kLocalWorldVariable[] = "CONVOY_LOCAL_WORLD_SIZE";
inline constexpr char kSchedulerVariable[] = "CONVOY_SCHEDULER";
inline constexpr char kSchedulerKeyVariable[] = "CONVOY_SCHEDULER_KEY";
inline constexpr char kTokenVariable[] = "CONVOY_TOKEN";
inline constexpr char kRunVariable[] = "CONVOY_RUN";            // the run directory
inline constexpr char kLifelineVariable[] = "CONVOY_LIFELINE";  // descriptor: end of file means the launcher is gone
inline constexpr char kAddressDescriptorVariable[] = "CONVOY_ADDRESS_FD";  // where a scheduler writes its address

// Throws Error(kUsage) when variables contradict each other, naming them.
Place find_place(const Environment& environment);

}  // namespace convoy::cluster
