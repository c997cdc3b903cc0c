#include "worker/step_profile.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "core/base/error.h"
#include "core/ops/measure_roofline.h"

namespace convoy::worker {
namespace {

constexpr std::size_t kWorst = 10;

}  // namespace

StepProfile::StepProfile(const StepRange& steps, std::int64_t run_steps, Replica& replica, std::string folder,
                         std::int32_t rank, std::function<void(const std::string&)> print)
    : steps_{.first = steps.first, .last = std::min(steps.last, run_steps)},
      replica_(replica),
      folder_(std::move(folder)),
      path_(fmt::format("{}/worker-{}.json", folder_, rank)),
      rank_(rank),
      print_(std::move(print)),
      roofline_(measure_roofline(replica.device())) {}

void StepProfile::begin_step(std::int64_t step) {
  if (step < steps_.first || step > steps_.last) return;
  if (!profile_) {
    std::error_code error;
    std::filesystem::create_directories(folder_, error);
    if (error) fail(ErrorCode::kUnavailable, "{}: cannot make the folder: {}", folder_, error.message());
    profile_.emplace(roofline_, path_, rank_);
  }
  replica_.set_timers([this](const PlannedFunction& planned, bool is_placed) {
    CallTimer*& timer = timers_[{planned.number, is_placed}];
    if (timer == nullptr)
      timer = &profile_->add_plan(planned.name, call_infos(planned.captured.graph, planned.plan_of(is_placed).calls()));
    return timer;
  });
  profile_->begin_step(step);
}

void StepProfile::end_step(std::int64_t step, CallTimer::Clock::time_point computed,
                           CallTimer::Clock::time_point reduced) {
  if (!profile_) return;
  replica_.set_timers({});
  profile_->add_span("all-reduce", computed, reduced);
  profile_->end_step();
  if (step >= steps_.last) finish();
}

void StepProfile::finish() {
  if (!profile_) return;
  profile_->finish();
  std::string table = profile_->worst_calls(kWorst);
  table.pop_back();  // print_() ends the line
  if (print_) print_(fmt::format("profile of {}, {}", path_, table));
  profile_.reset();
  timers_.clear();
}

}  // namespace convoy::worker
