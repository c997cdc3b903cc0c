// `--profile A:B`: times every call of the plans in some steps of a run, and says where the time went.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "core/base/inspection.h"
#include "core/graph/profile.h"
#include "worker/replica.h"

namespace convoy::worker {

class StepProfile {
 public:
  // Writes `folder`/worker-RANK.json up to the last of `steps`, or of the `run_steps` if that comes first; `print` gets
  // the table of the worst calls. Keeps a reference to `replica`. Measures the device's roofline now, so that no step
  // waits for a worker that does.
  StepProfile(const StepRange& steps, std::int64_t run_steps, Replica& replica, std::string folder, std::int32_t rank,
              std::function<void(const std::string&)> print);
  ~StepProfile() { replica_.set_timers({}); }
  StepProfile(const StepProfile&) = delete;
  StepProfile& operator=(const StepProfile&) = delete;

  // Between the two the plans' calls are timed.
  void begin_step(std::int64_t step);
  // [computed, reduced]: the time of the all-reduce.
  void end_step(std::int64_t step, CallTimer::Clock::time_point computed, CallTimer::Clock::time_point reduced);
  // The run ends here: what was timed so far is all there is.
  void finish();

 private:
  StepRange steps_;
  Replica& replica_;
  const std::string folder_;
  const std::string path_;
  const std::int32_t rank_;
  const std::function<void(const std::string&)> print_;
  const Roofline roofline_;
  std::optional<Profile> profile_;  // while it is under way
  // Of profile_, by the plan's number and which of the two it is.
  std::map<std::pair<std::int64_t, bool>, CallTimer*> timers_{};
};

}  // namespace convoy::worker
