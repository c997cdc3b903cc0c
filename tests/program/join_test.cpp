// Workers that join a run under way, with real processes: who fits, who does not, and from where.
#include <csignal>
#include <regex>

#include "cluster/address.h"
#include "tests/program/program_run.h"

namespace convoy {
namespace {

using std::chrono::seconds;
using Words = std::vector<std::string>;

class JoinRunTest : public testing::Test {
 protected:
  // A run that goes on for ever.
  void launch(const Words& options) {
    Words command{CONVOY_PROGRAM, "launch", "-n", "1", "--run", "out"};
    command.insert(command.end(), options.begin(), options.end());
    command.insert(command.end(), {"--", "train", "gpt.toml", "train.steps=1000000"});
    run_.start(command);
    ASSERT_TRUE(ProgramRun::wait_until([&] { return steps() >= 3; }, seconds(60))) << run_.errors();
  }
  void join(const std::string& address, const Words& overrides = {}) {
    const std::string out = run_.folder() / "out";
    Words command{CONVOY_PROGRAM, "launch", "--join", address, "-n", "2"};
    if (address.find(':') != std::string::npos) command.insert(command.end(), {"--run", out});
    command.insert(command.end(), {"--", "train", run_.folder() / "gpt.toml", "train.steps=1000000"});
    command.insert(command.end(), overrides.begin(), overrides.end());
    joiner_.start(command);
  }
  int steps() const {
    std::ifstream metrics(run_.folder() / "out/metrics.jsonl");
    int lines = 0;
    for (std::string line; std::getline(metrics, line);) ++lines;
    return lines;
  }
  void expect_to_end_together() {
    EXPECT_TRUE(
        ProgramRun::wait_until([&] { return run_.output().find("; 3 workers") != std::string::npos; }, seconds(60)))
        << run_.output() << run_.errors() << joiner_.errors();
    EXPECT_EQ(kill(run_.pid(), SIGTERM), 0);
    const ExitStatus stopped{.exit_code = 75, .signal = 0};
    EXPECT_EQ(run_.wait_exit(seconds(30)), stopped) << run_.errors();
    EXPECT_EQ(joiner_.wait_exit(seconds(10)), stopped) << joiner_.errors();
  }

  ProgramRun run_;
  testing_support::LaunchedRun joiner_{"program"};
};

TEST_F(JoinRunTest, WhoDoesNotFitIsToldOnceWhatDiffers) {
  launch({});
  join(run_.folder() / "out", {"train.seed=9", "optimizer.lr=0.5"});
  EXPECT_EQ(joiner_.wait_exit(seconds(60)), (ExitStatus{.exit_code = 2, .signal = 0}));
  EXPECT_TRUE(std::regex_match(joiner_.errors(),
                               std::regex("\\[\\+[01]\\] convoy: this worker does not fit the run: its recipe has "
                                          "optimizer.lr = 0.5 \\(the run: 0.01\\), train.seed = 9 \\(the run: "
                                          "[0-9]+\\)\n")))
      << joiner_.errors();
  const int before = steps();
  EXPECT_TRUE(ProgramRun::wait_until([&] { return steps() > before + 5; }, seconds(30))) << "the run goes on";
  EXPECT_EQ(run_.errors(), "");
  kill(run_.pid(), SIGTERM);
  EXPECT_EQ(run_.wait_exit(seconds(30)), (ExitStatus{.exit_code = 75, .signal = 0})) << run_.errors();
}

// As from another host: by an address that others reach, over TCP.
TEST_F(JoinRunTest, ALauncherThatListensLetsOthersIn) {
  const std::vector<std::string> addresses = cluster::own_addresses();
  if (addresses.empty()) GTEST_SKIP() << "this host has no address but loopback";
  launch({"--listen", addresses.front()});
  std::ifstream file(run_.folder() / "out/scheduler.json");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  std::smatch found;
  ASSERT_TRUE(std::regex_search(text, found, std::regex("\"address\": \"tcp://([^\"]+)\""))) << text;
  EXPECT_EQ(found[1].str().substr(0, found[1].str().find(':')), addresses.front());
  EXPECT_EQ(text.find("127.0.0.1"), std::string::npos) << text;
  join(found[1]);
  expect_to_end_together();
  // Nobody was told to meet anybody at loopback.
  for (const auto& segment : std::filesystem::directory_iterator(run_.folder() / "out/journal")) {
    std::ifstream journal(segment.path(), std::ios::binary);
    const std::string records{std::istreambuf_iterator<char>(journal), {}};
    EXPECT_EQ(records.find("127.0.0.1"), std::string::npos) << records;
  }
}

TEST_F(JoinRunTest, AnAddressThatIsNotReachedIsNamedWithBothEnds) {
  std::filesystem::create_directory(run_.folder() / "out");
  setenv("CONVOY_TOKEN", std::string(64, 'a').c_str(), 1);
  join("127.0.0.1:1");
  unsetenv("CONVOY_TOKEN");
  EXPECT_EQ(joiner_.wait_exit(seconds(30)), (ExitStatus{.exit_code = 1, .signal = 0}));
  EXPECT_TRUE(std::regex_match(
      joiner_.errors(),
      std::regex("convoy: --join 127.0.0.1:1: this host, [^\n]*, cannot reach the run's scheduler at 127.0.0.1 port 1: "
                 "Connection refused \\(errno 111\\)[^\n]*\n")))
      << joiner_.errors();
}

}  // namespace
}  // namespace convoy
