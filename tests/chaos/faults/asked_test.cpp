// SIGTERM, SIGUSR1 or SIGUSR2 to any one process of a run, whatever the run is doing: all finish their step, write one
// checkpoint, leave in order and exit with 75.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <csignal>
#include <functional>
#include <regex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "core/base/exit_code.h"
#include "tests/chaos/faults/faulted_run.h"

namespace convoy::chaos {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing_support::LaunchedRun;

// A step, a checkpoint, the scheduler's return and the leaving of all; a batch system allows half a minute.
constexpr seconds kGrace{20};

// A run of three workers and, where somebody joins, of a fourth one with a launcher of its own. It would go on for
// hours.
struct Stage {
  FaultedRun run;
  LaunchedRun joiner{"faults"};
  bool joined = false;

  LaunchedRun& processes() { return run.processes(); }
  void start(const std::string& at, bool with_joiner, const std::vector<std::string>& launch) {
    const std::vector<std::string> overrides{"train.steps=1000000", "train.eval_every=0", "checkpoint.every=1000000",
                                             "fault.suspect=10", "fault.hang=10"};
    run.start({}, at, launch, overrides);
    wait("steps", [&] { return run.steps_recorded() >= 5; });
    joined = with_joiner;
    if (!joined) return;
    std::vector<std::string> command{
        CONVOY_PROGRAM, "launch", "--join", run.folder(), "-n", "1", "--", "train", processes().folder() / "tiny.toml"};
    command.insert(command.end(), overrides.begin(), overrides.end());
    command.insert(command.end(), {"train.graph=static", "sync.engine=local"});
    joiner.start(command);
    wait("the joiner", [&] { return processes().output().find("; 4 workers") != std::string::npos; });
  }
  void wait(const char* what, const std::function<bool()>& condition) {
    ASSERT_TRUE(LaunchedRun::wait_until(condition, seconds(60))) << "no " << what << "\n" << account();
  }
  std::string account() const { return run.account() + (joined ? "--- joiner\n" + joiner.errors() : ""); }
};

struct Who {
  const char* name;
  bool joins;
  std::function<std::optional<pid_t>(Stage&)> pid;
};
const std::vector<Who>& everybody() {
  static const std::vector<Who> all{
      {"Launcher", false, [](Stage& stage) { return std::optional(stage.processes().pid()); }},
      {"Scheduler", false, [](Stage& stage) { return stage.processes().with_command("scheduler"); }},
      {"Leader", false, [](Stage& stage) { return stage.processes().with_variable("CONVOY_RANK=0"); }},
      {"JoiningLauncher", true, [](Stage& stage) { return std::optional(stage.joiner.pid()); }},
      {"JoinedWorker", true, [](Stage& stage) { return stage.joiner.with_variable("CONVOY_RANK=-1"); }}};
  return all;
}

void strike(std::optional<pid_t> victim) {
  ASSERT_TRUE(victim.has_value());
  EXPECT_EQ(kill(*victim, SIGKILL), 0);
}
void strike_worker(Stage& stage, int rank) {
  strike(stage.processes().with_variable(fmt::format("CONVOY_RANK={}", rank)));
}
bool somebody_was_killed(Stage& stage) {
  return stage.processes().errors().find("was killed by signal 9") != std::string::npos;
}

struct When {
  const char* name;
  std::function<std::string(bool joins)> at;  // CONVOY_AT
  std::vector<std::string> launch;
  std::function<void(Stage&)> bring_about;
};
std::string nothing(bool) { return ""; }
const std::vector<When>& moments() {
  static const std::vector<When> all{
      {"Training", nothing, {}, [](Stage&) {}},
      {"FormingAnEpoch",
       // The record of the epoch without the dead takes a while.
       [](bool joins) { return fmt::format("scheduler@journal@{}=WAIT+700000", joins ? 3 : 2); },
       {"--max-restarts", "0"},
       [](Stage& stage) {
         strike_worker(stage, 1);
         stage.wait("death", [&] { return somebody_was_killed(stage); });
       }},
      {"Replacing",
       [](bool) { return "1+@register@*=WAIT+700000"; },
       {},
       [](Stage& stage) {
         strike_worker(stage, 1);
         stage.wait("replacement", [&] { return stage.processes().with_variable("CONVOY_REPLACES=1").has_value(); });
       }},
      {"RestartingTheScheduler",
       nothing,
       {},
       [](Stage& stage) {
         const auto before = stage.processes().with_command("scheduler");
         strike(before);
         stage.wait("scheduler", [&] {
           const auto now = stage.processes().with_command("scheduler");
           return now && now != before;
         });
       }},
      {"WaitingForWorkers", nothing, {"--max-restarts", "0", "--min-workers", "3"}, [](Stage& stage) {
         strike_worker(stage, 1);
         strike_worker(stage, 2);
         std::this_thread::sleep_for(milliseconds(1500));
       }}};
  return all;
}

struct Case {
  Who who;
  When when;
  int signal;
};
std::vector<Case> cases() {
  constexpr int kSignals[] = {SIGTERM, SIGUSR1, SIGUSR2};
  std::vector<Case> all;
  for (const When& when : moments()) {
    for (const Who& who : everybody()) all.push_back({who, when, kSignals[all.size() % std::size(kSignals)]});
  }
  return all;
}

std::vector<Case> cases_of_newcomers() {
  constexpr int kSignals[] = {SIGTERM, SIGUSR1, SIGUSR2};
  std::vector<Case> all;
  // Who has just been started answers no signals yet, or has nothing to finish, or is about to be let in.
  const Who newcomer{"Newcomer", false,
                     [](Stage& stage) { return stage.processes().with_variable("CONVOY_REPLACES=1"); }};
  const When started{"Starting", nothing, {}, [](Stage& stage) {
                       strike_worker(stage, 1);
                       stage.wait("replacement",
                                  [&] { return stage.processes().with_variable("CONVOY_REPLACES=1").has_value(); });
                     }};
  for (const int signal : kSignals) all.push_back({newcomer, started, signal});
  return all;
}
void PrintTo(const Case& one, std::ostream* out) { *out << one.who.name << " while " << one.when.name; }

std::size_t count(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  return static_cast<std::size_t>(
      std::distance(std::sregex_iterator(text.begin(), text.end(), regex), std::sregex_iterator()));
}

class AskedTest : public testing::TestWithParam<Case> {};

TEST_P(AskedTest, AllFinishTheirStepAndExitWith75) {
  const auto& [who, when, signal] = GetParam();
  Stage stage;
  stage.start(when.at(who.joins), who.joins, when.launch);
  if (HasFatalFailure()) return;
  when.bring_about(stage);
  if (HasFatalFailure()) return;
  const std::optional<pid_t> asked = who.pid(stage);
  ASSERT_TRUE(asked.has_value()) << stage.account();
  ASSERT_EQ(kill(*asked, signal), 0);

  const ExitStatus stopped{.exit_code = kExitStopped, .signal = 0};
  const auto end = stage.run.wait_end(kGrace);
  ASSERT_TRUE(end.has_value()) << "it still runs\n" << stage.account();
  EXPECT_EQ(*end, stopped) << stage.account();
  if (stage.joined) {
    const auto joiner_end = stage.joiner.wait_exit(seconds(5));
    ASSERT_TRUE(joiner_end.has_value()) << "the joiner still runs\n" << stage.account();
    EXPECT_EQ(*joiner_end, stopped) << stage.account();
    EXPECT_EQ(stage.joiner.left_behind(seconds(3)), "");
  }
  EXPECT_EQ(stage.run.left_behind(), "");

  // Why is said once, with what goes on from here; the checkpoint is of the last step on record.
  const std::int64_t steps = stage.run.steps_recorded();
  const std::string said = stage.processes().errors();
  const std::string why =
      "convoy: [^\n]*stopped by " + signal_name(signal) + "[^\n]*run `convoy resume out` to go on\n";
  EXPECT_EQ(count(said, why), 1U) << why << "\n" << stage.account();
  EXPECT_TRUE(std::filesystem::exists(stage.run.folder() / fmt::format("checkpoints/step-{}", steps)))
      << stage.account();
  EXPECT_EQ(stage.run.count_events("checkpoint"), 1) << stage.account();
  // Nothing that was done differs from what an undisturbed run does.
  const Traces traces = stage.run.traces();
  const Traces& expected = undisturbed();
  for (std::size_t i = 0; i < std::min(traces.loss_bits.size(), expected.loss_bits.size()); ++i) {
    EXPECT_EQ(traces.steps[i], expected.steps[i]);
    EXPECT_EQ(traces.loss_bits[i], expected.loss_bits[i]) << "step " << i + 1;
  }
}

std::string name_of(const testing::TestParamInfo<Case>& one) {
  return fmt::format("{}AskedWhile{}By{}", one.param.who.name, one.param.when.name, signal_name(one.param.signal));
}
INSTANTIATE_TEST_SUITE_P(Everybody, AskedTest, testing::ValuesIn(cases()), name_of);
INSTANTIATE_TEST_SUITE_P(Newcomers, AskedTest, testing::ValuesIn(cases_of_newcomers()), name_of);

}  // namespace
}  // namespace convoy::chaos
