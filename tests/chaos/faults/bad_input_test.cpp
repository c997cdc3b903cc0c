// What a run makes of damage and strangers: a line that says what is wrong, nothing lost, and it goes on where it can.
// (Of full disks: full_disk_test.cpp.)
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <regex>
#include <string>
#include <utility>

#include "core/base/exit_code.h"
#include "scheduler/journal.h"
#include "tests/chaos/faults/faulted_run.h"
#include "tests/chaos/faults/open_doors.h"

namespace convoy::chaos {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;
using testing_support::LaunchedRun;

const Company kThree{.workers = 3, .graph = "static", .engine = "local"};

std::string read_all(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_all(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// The last record of a segment, which is padded with zeros.
std::size_t used_bytes(const std::string& segment) { return segment.find_last_not_of('\0') + 1; }

fs::path newest_segment(const FaultedRun& run) {
  std::vector<fs::path> segments;
  for (const auto& entry : fs::directory_iterator(run.folder() / "journal")) segments.push_back(entry.path());
  return *std::ranges::max_element(segments, {}, [](const fs::path& path) { return path.filename().string(); });
}

void wait_for_steps(FaultedRun& run, std::int64_t steps) {
  ASSERT_TRUE(LaunchedRun::wait_until([&] { return run.steps_recorded() >= steps; }, seconds(30))) << run.account();
}

void expect_end_as_undisturbed(FaultedRun& run) {
  const auto end = run.wait_end(seconds(40));
  ASSERT_TRUE(end.has_value()) << "it still runs\n" << run.account();
  EXPECT_TRUE(end->success()) << run.account();
  EXPECT_EQ(run.left_behind(), "");
  Traces traces = run.traces();
  traces.files = undisturbed().files;
  EXPECT_EQ(differences(traces, undisturbed()), "") << run.account();
}

void expect_line(const std::string& text, const std::string& pattern) {
  EXPECT_TRUE(std::regex_search(text, std::regex(pattern))) << pattern << "\nin\n" << text;
}

// The scheduler dies, and what the next one finds is damaged: it says so in a line, and the workers know better.
void expect_survives(const std::string& line, const std::function<void(FaultedRun& run)>& damage) {
  FaultedRun run;
  run.start(kThree, "2@reduce@4=KILL");  // so that there is more than one epoch on record
  wait_for_steps(run, 6);
  const auto scheduler = run.processes().with_command("scheduler");
  ASSERT_TRUE(scheduler.has_value()) << run.account();
  EXPECT_EQ(kill(*scheduler, SIGSTOP), 0);
  damage(run);
  EXPECT_EQ(kill(*scheduler, SIGKILL), 0);
  expect_end_as_undisturbed(run);
  EXPECT_GE(run.count_events("scheduler_restarted"), 1);
  EXPECT_EQ(run.count_events("journal_damaged"), 1);
  expect_line(run.processes().output(), "warning: [^\n]*/journal/term-1 " + line + "\n");
}

TEST(BadInputTest, AJournalThatIsTornGoesOnFromWhatIsWhole) {
  expect_survives("ends at byte [0-9]+ in the middle of a record: [^\n]+", [](FaultedRun& run) {
    const fs::path segment = newest_segment(run);
    const std::string bytes = read_all(segment);
    fs::resize_file(segment, used_bytes(bytes) - 9);
  });
}

TEST(BadInputTest, ABitThatFlippedInTheJournalIsNotBelieved) {
  const std::string damaged = "is damaged at byte [0-9]+: expected a whole record there, ";
  const auto flip = [](const std::function<std::size_t(const std::string& bytes)>& where) {
    return [where](FaultedRun& run) {
      const fs::path segment = newest_segment(run);
      std::string bytes = read_all(segment);
      bytes.at(where(bytes)) ^= 0x04;
      write_all(segment, bytes);
    };
  };
  expect_survives(damaged + "and its checksum is wrong; the rest of it counts",
                  flip([](const std::string& bytes) { return used_bytes(bytes) - 20; }));
  // In the first epoch, behind the record of the term.
  expect_survives(damaged + "as others stand behind it; the rest of it counts",
                  flip([](const std::string& bytes) { return bytes.find("\"epoch\""); }));
}

TEST(BadInputTest, AnEmptyJournalIsNoEnd) {
  expect_survives("holds no record: expected that of its term at byte 0",
                  [](FaultedRun& run) { write_all(newest_segment(run), ""); });
}

// Another scheduler of the run begins a term of its own: the one that works writes nothing any more and gives way.
TEST(BadInputTest, OfTwoSchedulersTheOneOfTheLowerTermGivesWay) {
  FaultedRun run;
  run.start(kThree, "", {}, {"train.steps=40"});
  wait_for_steps(run, 4);
  const fs::path lower = newest_segment(run);
  const scheduler::Journal other(run.folder() / "journal", Uuid::random(), scheduler::run_in(run.folder()), true);
  const std::string written = read_all(lower);
  expect_end_as_undisturbed(run);
  EXPECT_EQ(read_all(lower), written) << "it wrote on";
  EXPECT_GE(run.count_events("scheduler_restarted"), 1);
  EXPECT_TRUE(fs::exists(run.folder() / "journal" / fmt::format("term-{}", other.term() + 1)));
}

// Its members are strangers here, who will not answer: whoever does goes on.
TEST(BadInputTest, AnotherRunsJournalDoesNoHarm) {
  FaultedRun other;
  other.start(kThree);
  const auto end = other.wait_end(seconds(40));
  ASSERT_TRUE(end && end->success()) << other.account();
  expect_survives("is the journal of another run [^\n]+: it is left out", [&](FaultedRun& run) {
    fs::copy_file(newest_segment(other), newest_segment(run), fs::copy_options::overwrite_existing);
  });
}

TEST(BadInputTest, ADamagedJournalDoesNotKeepARunFromBeingResumed) {
  for (const bool empty : {false, true}) {
    FaultedRun run;
    run.start(kThree, "1@compute@7=TERM");
    const auto end = run.wait_end(seconds(40));
    ASSERT_TRUE(end && *end == (ExitStatus{.exit_code = kExitStopped, .signal = 0})) << run.account();
    const fs::path segment = newest_segment(run);
    fs::resize_file(segment, empty ? 0 : used_bytes(read_all(segment)) - 3);
    run.resume(kThree);
    expect_end_as_undisturbed(run);
  }
}

// A checkpoint in which a bit flipped is said to be damaged and left alone; the one before it serves.
TEST(BadInputTest, ABitThatFlippedInACheckpointIsFound) {
  FaultedRun run;
  run.start(kThree, "1@compute@27=TERM");
  const auto end = run.wait_end(seconds(40));
  ASSERT_TRUE(end && end->exit_code == kExitStopped) << run.account();
  fs::path newest;
  for (const auto& entry : fs::directory_iterator(run.folder() / "checkpoints")) {
    const std::string name = entry.path().filename().string(), best = newest.filename().string();
    if (std::pair(name.size(), name) > std::pair(best.size(), best)) newest = entry.path();  // "step-9" < "step-27"
  }
  for (const auto& entry : fs::directory_iterator(newest)) {
    if (entry.path().extension() != ".safetensors") continue;
    std::string bytes = read_all(entry.path());
    bytes[bytes.size() / 2] ^= 0x10;
    write_all(entry.path(), bytes);
  }
  run.resume(kThree);
  expect_end_as_undisturbed(run);
  EXPECT_GE(run.count_events("checkpoint_corrupt"), 1) << run.account();
}

TEST(BadInputTest, ARunDirectoryThatCannotBeWrittenIsSaidAtOnce) {
  LaunchedRun run("faults");
  std::ofstream(run.folder() / "out") << "a file";
  std::ofstream(run.folder() / "text.txt") << std::string(5000, 'x');
  std::ofstream(run.folder() / "tiny.toml")
      << "[model]\nkind = \"gpt\"\nlayers = 1\nheads = 1\nwidth = 16\n[data]\nkind = \"text\"\npath = \"text.txt\"\n"
         "context = 16\n[optimizer]\nkind = \"adamw\"\nlr = 1e-3\n[train]\nsteps = 3\nglobal_batch = 8\n";
  for (const char* directory : {"out", "out/run", "/proc/run"}) {
    run.start({CONVOY_PROGRAM, "launch", "-n", "3", "--run", directory, "--", "train", "tiny.toml"});
    const auto end = run.wait_exit(seconds(20));
    ASSERT_TRUE(end.has_value()) << run.errors();
    EXPECT_TRUE(end->exit_code == 1 || end->exit_code == 2) << describe_exit(*end);
    EXPECT_EQ(run.left_behind(seconds(3)), "");
    expect_line(run.errors(), fmt::format("convoy: [^\n]*{}[^\n]*\n$", directory));
  }
  EXPECT_EQ(std::ranges::count(run.errors(), '\n'), 3) << run.errors();
}

std::string variable_of(pid_t process, const std::string& name) {
  const std::string environment = '\0' + read_all(fs::path("/proc") / std::to_string(process) / "environ");
  const std::size_t at = environment.find('\0' + name + "=");
  if (at == std::string::npos) return "";
  const std::size_t begin = at + name.size() + 2;
  return environment.substr(begin, environment.find('\0', begin) - begin);
}

TEST(BadInputTest, AStrangerWithoutTheTokenIsToldSoAndChangesNothing) {
  FaultedRun run;
  run.start(kThree);
  wait_for_steps(run, 2);
  const pid_t worker = run.processes().with_variable("CONVOY_RANK=1").value();
  FaultedRun stranger;
  stranger.processes().start(
      {"/usr/bin/env", "CONVOY_RANK=1", "CONVOY_WORLD_SIZE=3", "CONVOY_LOCAL_RANK=1", "CONVOY_LOCAL_WORLD_SIZE=3",
       "CONVOY_SCHEDULER=" + variable_of(worker, "CONVOY_SCHEDULER"),
       "CONVOY_SCHEDULER_KEY=" + variable_of(worker, "CONVOY_SCHEDULER_KEY"), "CONVOY_TOKEN=" + std::string(64, '0'),
       CONVOY_PROGRAM, "train", "tiny.toml", "--run", "out"});
  expect_end_as_undisturbed(run);
  EXPECT_EQ(run.participants().size(), 3U);
  const auto end = stranger.processes().wait_exit(seconds(60));
  ASSERT_TRUE(end.has_value()) << "the stranger still tries\n" << stranger.processes().errors();
  EXPECT_EQ(end->signal, 0);
  EXPECT_NE(end->exit_code, 0);
  expect_line(stranger.processes().errors(), "^convoy: [^\n]+\n$");
}

// Through the whole run, whoever listens: while it starts, trains, makes a new epoch and lets a replacement in.
TEST(BadInputTest, StrangersWhoTalkNonsenseChangeNothing) {
  for (const char* engine : {"local", "gloo"}) {
    FaultedRun run;
    run.start({.workers = 3, .graph = "static", .engine = engine}, "2@reduce@12=KILL", {"--min-workers", "3"});
    int open = 0;
    std::uint64_t seed = 1;
    while (!run.processes().wait_exit(std::chrono::milliseconds(20))) {
      open += talk_nonsense(doors_of(run.processes().processes()), seed++);
      ASSERT_LT(seed, 3000U) << "it still runs\n" << run.account();
    }
    EXPECT_GE(open, 30) << "nobody answered the door";
    EXPECT_EQ(run.left_behind(), "");
    EXPECT_EQ(differences(run.traces(), undisturbed()), "") << run.account();
    EXPECT_EQ(run.participants().size(), 4U) << run.account();
  }
}

}  // namespace
}  // namespace convoy::chaos
