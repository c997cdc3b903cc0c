#include "tests/chaos/soak/soak_run.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <thread>
#include <utility>

#include "core/base/error.h"
#include "core/base/philox.h"

namespace convoy::chaos {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::duration;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using testing_support::LaunchedRun;

constexpr auto kEnd = std::chrono::seconds(180);  // for a whole run
constexpr milliseconds kPause{300};               // of a scheduler

std::vector<std::string> overrides_for(std::int64_t steps) {
  return {fmt::format("train.steps={}", steps), "train.eval_every=100", "checkpoint.every=50"};
}

// Numbers that depend on the seed and on how many were drawn before.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : key_(mix(seed)) {}
  std::uint64_t below(std::uint64_t limit) {
    const auto drawn = philox({static_cast<std::uint32_t>(drawn_++), 0, 0, 0}, key_);
    return (drawn[0] | static_cast<std::uint64_t>(drawn[1]) << 32) % limit;
  }

 private:
  PhiloxKey key_;
  std::uint64_t drawn_ = 0;
};

Blow draw_blow(Dice& dice) {
  static constexpr std::array<std::pair<Blow, std::uint64_t>, 6> kShares = {{{Blow::kKillWorker, 45},
                                                                             {Blow::kKillTwo, 10},
                                                                             {Blow::kStopWorker, 10},
                                                                             {Blow::kKillNewcomer, 10},
                                                                             {Blow::kKillScheduler, 20},
                                                                             {Blow::kPauseScheduler, 5}}};
  std::uint64_t left = dice.below(100);
  for (const auto& [blow, share] : kShares) {
    if (left < share) return blow;
    left -= share;
  }
  return Blow::kKillWorker;
}

// "1.2"
Ballot ballot_of(const std::string& text) {
  Ballot ballot;
  std::istringstream stream(text);
  char dot = 0;
  stream >> ballot.term >> dot >> ballot.attempt;
  return ballot;
}

struct Line {
  std::int64_t step = 0;
  Ballot ballot;
  Clock::time_point seen;
};

// metrics.jsonl while it grows.
class Watch {
 public:
  explicit Watch(std::filesystem::path file) : file_(std::move(file)) {}

  const std::vector<Line>& lines() {
    std::ifstream file(file_, std::ios::binary);
    file.seekg(offset_);
    const Clock::time_point now = Clock::now();
    for (std::string line; file && std::getline(file, line) && !file.eof();) {
      offset_ += static_cast<std::streamoff>(line.size() + 1);
      const auto metrics = nlohmann::json::parse(line);
      lines_.push_back({.step = metrics.at("step"), .ballot = ballot_of(metrics.at("ballot")), .seen = now});
    }
    return lines_;
  }

 private:
  std::filesystem::path file_;
  std::streamoff offset_ = 0;
  std::vector<Line> lines_;
};

struct Crew {
  std::vector<pid_t> holders;    // members under whom a step stands on record, so that each has the state
  std::vector<pid_t> newcomers;  // the other workers
  std::optional<pid_t> scheduler;
};

std::vector<pid_t> alive(const FaultedRun& run, const std::vector<pid_t>& processes, const Ballot& ballot) {
  std::vector<pid_t> found;
  for (const auto& epoch : run.epochs()) {
    if (epoch.ballot != ballot) continue;
    for (const cluster::Member& member : epoch.epoch.members) {
      if (std::ranges::count(processes, member.pid) > 0) found.push_back(member.pid);
    }
    break;
  }
  return found;
}

Crew crew_of(FaultedRun& run, const Ballot& ballot) {
  Crew crew;
  const std::vector<pid_t> processes = run.processes().processes();
  crew.holders = alive(run, processes, ballot);
  crew.scheduler = run.processes().with_command("scheduler");
  for (const pid_t pid : processes) {
    const bool other = pid == run.processes().pid() || pid == crew.scheduler.value_or(-1);
    if (!other && std::ranges::count(crew.holders, pid) == 0) crew.newcomers.push_back(pid);
  }
  return crew;
}

class Soak {
 public:
  Soak(const SoakPlan& plan, std::int64_t steps, const Traces& undisturbed)
      : plan_(plan), steps_(steps), undisturbed_(undisturbed), watch_(run_.folder() / "metrics.jsonl") {}

  SoakResult run() {
    result_.seed = plan_.seed;
    result_.company = plan_.company;
    run_.start(plan_.company, "", {"--max-restarts", "1000"}, overrides_for(steps_));
    for (const PlannedBlow& blow : plan_.blows) {
      if (!wait_for(blow.after_step)) break;
      std::this_thread::sleep_for(microseconds(blow.delay_us));
      strike(blow);
    }
    conclude();
    return std::move(result_);
  }

 private:
  struct Struck {
    std::size_t index;  // in result_.struck
    Clock::time_point when;
    Ballot ballot;
    bool member;
  };

  bool wait_for(std::int64_t step) {
    return LaunchedRun::wait_until(
               [&] {
                 const auto& lines = watch_.lines();
                 return ended() || (!lines.empty() && lines.back().step >= step);
               },
               std::chrono::duration_cast<milliseconds>(started_ + kEnd - Clock::now())) &&
           !ended();
  }

  bool ended() {
    if (!end_) end_ = run_.processes().wait_exit(milliseconds(0));
    return end_.has_value();
  }

  void strike(const PlannedBlow& planned) {
    run_.processes().note_resources();
    const Ballot ballot = watch_.lines().back().ballot;
    Crew crew = crew_of(run_, ballot);
    // A stopped worker has the state, and will be killed with it.
    std::erase_if(crew.holders, [&](pid_t pid) { return stopped_.contains(pid); });
    Blow blow = planned.blow;
    if (blow == Blow::kKillNewcomer && crew.newcomers.empty()) blow = Blow::kKillWorker;
    // Whoever is the last to hold the state is spared: without it the run goes on from a checkpoint, which is another
    // promise (the table of faults has it).
    if (crew.holders.size() < 2 && blow != Blow::kKillNewcomer && blow != Blow::kPauseScheduler)
      blow = Blow::kKillScheduler;
    if (crew.holders.size() < 3 && blow == Blow::kKillTwo) blow = Blow::kKillWorker;

    const auto pick = [&](const std::vector<pid_t>& from, std::size_t further = 0) {
      return from[(planned.choice + further) % from.size()];
    };
    bool member = false;
    const Clock::time_point when = Clock::now();
    switch (blow) {
      case Blow::kKillTwo:
        kill(pick(crew.holders, 1), SIGKILL);
        [[fallthrough]];
      case Blow::kKillWorker:
        kill(pick(crew.holders), SIGKILL);
        member = true;
        break;
      case Blow::kStopWorker:
        kill(pick(crew.holders), SIGSTOP);
        stopped_.insert(pick(crew.holders));
        member = true;
        break;
      case Blow::kKillNewcomer:
        kill(pick(crew.newcomers), SIGKILL);
        break;
      case Blow::kKillScheduler:
        if (!crew.scheduler) return;
        kill(*crew.scheduler, SIGKILL);
        break;
      case Blow::kPauseScheduler:
        if (!crew.scheduler) return;
        kill(*crew.scheduler, SIGSTOP);
        std::this_thread::sleep_for(kPause);
        kill(*crew.scheduler, SIGCONT);
        break;
    }
    struck_.push_back({.index = result_.struck.size(), .when = when, .ballot = ballot, .member = member});
    result_.struck.push_back({.blow = blow});
  }

  void conclude() {
    while (!ended() && Clock::now() < started_ + kEnd) {
      watch_.lines();
      std::this_thread::sleep_for(milliseconds(2));
    }
    const std::vector<Line>& lines = watch_.lines();
    note_recoveries(lines);
    note_losses(lines);
    if (!end_) {
      result_.wrong = "it still runs\n";
    } else {
      if (!end_->success()) result_.wrong += describe_exit(*end_) + "\n";
      result_.wrong += run_.left_behind();
      Traces traces = run_.traces();
      result_.wrong += differences(traces, undisturbed_);
    }
    if (result_.steps_lost > 0) result_.wrong += fmt::format("{} steps were lost\n", result_.steps_lost);
    if (!result_.wrong.empty()) result_.account = run_.account();
  }

  void note_recoveries(const std::vector<Line>& lines) {
    for (const Struck& struck : struck_) {
      const Blow blow = result_.struck[struck.index].blow;
      if (!struck.member && blow != Blow::kKillScheduler) continue;
      // What was on its way when the scheduler was killed is on record at once.
      const Clock::time_point from = struck.when + (struck.member ? milliseconds(0) : milliseconds(20));
      const auto next = std::ranges::find_if(
          lines, [&](const Line& line) { return line.seen > from && (!struck.member || struck.ballot < line.ballot); });
      if (next != lines.end())
        result_.struck[struck.index].recovery_s = duration<double>(next->seen - struck.when).count();
    }
    std::vector<double> gaps;
    for (std::size_t i = 1; i < lines.size(); ++i)
      gaps.push_back(duration<double>(lines[i].seen - lines[i - 1].seen).count());
    if (gaps.empty()) return;
    std::ranges::nth_element(gaps, gaps.begin() + std::ssize(gaps) / 2);
    result_.step_s = gaps[gaps.size() / 2];
  }

  // A step that only the one who died had applied is made again by the others from what they kept of it: that is no
  // loss. More than one is: it was read from a checkpoint.
  void note_losses(const std::vector<Line>& lines) {
    for (const auto& epoch : run_.epochs()) {
      std::int64_t furthest = 0;
      for (const Line& line : lines) {
        if (line.ballot < epoch.ballot) furthest = std::max(furthest, line.step);
      }
      const std::int64_t back = furthest - epoch.epoch.resume_step;
      if (back > 1) result_.steps_lost += back;
    }
  }

  const SoakPlan& plan_;
  const std::int64_t steps_;
  const Traces& undisturbed_;
  const Clock::time_point started_ = Clock::now();
  FaultedRun run_;
  Watch watch_;
  std::vector<Struck> struck_;
  std::set<pid_t> stopped_;
  std::optional<ExitStatus> end_;
  SoakResult result_;
};

}  // namespace

std::string_view name_of(Blow blow) {
  switch (blow) {
    case Blow::kKillWorker:
      return "worker killed";
    case Blow::kKillTwo:
      return "two workers killed";
    case Blow::kStopWorker:
      return "worker stopped";
    case Blow::kKillNewcomer:
      return "newcomer killed";
    case Blow::kKillScheduler:
      return "scheduler killed";
    case Blow::kPauseScheduler:
      return "scheduler paused";
  }
  return "?";
}

SoakPlan plan_of(std::uint64_t seed, int blows, std::int64_t steps) {
  Dice dice(seed);
  SoakPlan plan{.seed = seed,
                .company = {.workers = static_cast<int>(3 + dice.below(2)),
                            .graph = dice.below(2) == 0 ? "static" : "dynamic",
                            .engine = dice.below(2) == 0 ? "local" : "gloo"},
                .blows = {}};
  for (int i = 0; i < blows; ++i) {
    PlannedBlow blow{.blow = draw_blow(dice)};
    blow.after_step = static_cast<std::int64_t>(1 + dice.below(static_cast<std::uint64_t>(steps * 9 / 10)));
    blow.delay_us = static_cast<std::int64_t>(dice.below(15'000));
    blow.choice = dice.below(1U << 30U);
    plan.blows.push_back(blow);
  }
  std::ranges::stable_sort(plan.blows, {}, &PlannedBlow::after_step);
  return plan;
}

SoakResult soak(const SoakPlan& plan, std::int64_t steps, const Traces& undisturbed) {
  return Soak(plan, steps, undisturbed).run();
}

Traces undisturbed_soak(std::int64_t steps) { return train_undisturbed(overrides_for(steps)); }

}  // namespace convoy::chaos
