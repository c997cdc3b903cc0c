// One run of the soak: drawn from a seed are the company, and who is struck how after which step.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tests/chaos/faults/faulted_run.h"

namespace convoy::chaos {

enum class Blow : std::uint8_t {
  kKillWorker,    // a member of the run
  kKillTwo,       // of them, at once
  kStopWorker,    // it is excluded after the hang limit, and killed
  kKillNewcomer,  // a process that is on its way in, where there is one; else a worker
  kKillScheduler,
  kPauseScheduler,  // for a while
};
std::string_view name_of(Blow blow);

struct PlannedBlow {
  Blow blow{};
  std::int64_t after_step = 0;  // once this is on record,
  std::int64_t delay_us = 0;    // and so much later
  std::uint64_t choice = 0;     // whom
};

struct SoakPlan {
  std::uint64_t seed = 0;
  Company company;
  std::vector<PlannedBlow> blows;
};
SoakPlan plan_of(std::uint64_t seed, int blows, std::int64_t steps);

struct StruckBlow {
  Blow blow{};
  // From the blow to the next step on record under a new membership (of the scheduler: to the next on record), in
  // seconds. Nothing where no member was struck, or the run ended before.
  std::optional<double> recovery_s{};
};

struct SoakResult {
  std::uint64_t seed = 0;
  Company company;
  std::vector<StruckBlow> struck;  // fewer than planned where the run was over before
  std::int64_t steps_lost = 0;     // that had to be made again from a checkpoint
  double step_s = 0.0;             // the median, between blows
  std::string wrong;               // empty: it ended as if nothing had happened
  std::string account;             // of what was wrong
};

// `undisturbed`: what a run of so many steps leaves.
SoakResult soak(const SoakPlan& plan, std::int64_t steps, const Traces& undisturbed);
Traces undisturbed_soak(std::int64_t steps);

}  // namespace convoy::chaos
