// Tasks of a Slurm step without Slurm: each is told its rank by the variables that srun leaves. They find each other
// through the run directory alone.
#include "library/meeting.h"

#include <gtest/gtest.h>

#include "cluster/link.h"
#include "core/base/error.h"
#include "tests/program/program_run.h"

namespace convoy {
namespace {

constexpr char kStep[] = R"(
convoy=$1; shift
export SLURM_JOB_ID=12 SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=2 SLURM_STEP_TASKS_PER_NODE=2 SLURM_STEP_NODELIST=here
SLURM_PROCID=1 SLURM_LOCALID=1 "$convoy" train "$@" & other=$!
SLURM_PROCID=0 SLURM_LOCALID=0 "$convoy" train "$@"; zero=$?
wait $other
echo exit codes: $zero $?
)";

std::vector<std::string> step(std::vector<std::string> arguments) {
  std::vector<std::string> words = {"/bin/sh", "-c", kStep, "sh", CONVOY_PROGRAM};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return words;
}

TEST(MeetingTest, TasksOfAStepFindRank0InTheRunDirectory) {
  ProgramRun run;
  ASSERT_EQ(run.run_command(step({"gpt.toml"})), 0);
  EXPECT_NE(run.output().find("exit codes: 0 0\n"), std::string::npos) << run.output() << run.errors();
  EXPECT_NE(run.output().find("gpt.toml with 2 workers (Slurm: SLURM_PROCID=0, SLURM_STEP_NUM_TASKS=2); records in "
                              "runs/gpt-12.0\n"),
            std::string::npos)
      << run.output();
  EXPECT_TRUE(exists(run.folder() / "runs/gpt-12.0/final.json"));
  EXPECT_FALSE(exists(run.folder() / "runs/gpt-12.0/scheduler.json"));
  EXPECT_EQ(run.left_behind(std::chrono::seconds(3)), "");
}

TEST(MeetingTest, WhatRank0FindsWrongEndsTheOthersWithoutAWord) {
  ProgramRun run;
  ASSERT_EQ(run.run_command(step({"gpt.toml", "data.context=5000"})), 0);
  EXPECT_EQ(run.output(), "exit codes: 2 2\n");
  EXPECT_EQ(
      run.message(),
      "convoy: command line: data.context=5000: a context of 5000 needs at least 5557 bytes with 0.1 of them held "
      "out; DIR/text.txt holds 4000\n");
  EXPECT_FALSE(exists(run.folder() / "runs"));
  EXPECT_EQ(run.left_behind(std::chrono::seconds(3)), "");
}

TEST(MeetingTest, WhatTheFileSystemRefusesRank0EndsTheOthersToo) {
  ProgramRun run;
  std::filesystem::create_directory(run.folder() / "out");
  std::filesystem::create_symlink("recipe.toml", run.folder() / "out/recipe.toml");
  ASSERT_EQ(run.run_command(step({"gpt.toml", "--run", "out"})), 0) << "rank 1 waits for rank 0";
  EXPECT_EQ(run.output(), "exit codes: 1 1\n");
  EXPECT_EQ(run.errors(), "convoy: filesystem error: status: Too many levels of symbolic links [out/recipe.toml]\n");
}

// Its rank 0 may be waiting for it in MPI's start, where it can say nothing.
TEST(MeetingTest, ARankThatCannotTakePartDoesNotWaitForRank0ToSaySo) {
  ProgramRun run;
  const std::string alone =
      "SLURM_JOB_ID=12 SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=2 SLURM_STEP_TASKS_PER_NODE=2 SLURM_STEP_NODELIST=here "
      "SLURM_PROCID=1 SLURM_LOCALID=1 \"$0\" train nowhere.toml sync.engine=mpi";
  EXPECT_EQ(run.run_command({"/bin/sh", "-c", alone, CONVOY_PROGRAM}), 2);
  EXPECT_TRUE(run.errors().ends_with(": nowhere.toml: cannot read the recipe: No such file or directory\n"))
      << run.errors();
  EXPECT_TRUE(run.errors().starts_with("convoy: rank 1 on ")) << run.errors();
}

// A meeting without the program: what one rank finds where another start left its file.
class WaitForWordTest : public testing::Test {
 protected:
  static launcher::Whereabouts whereabouts_of(const cluster::Hub& hub, const std::string& incarnation) {
    const cluster::Credentials& credentials = hub.credentials();
    return {.addresses = {"tcp://127.0.0.1:1", credentials.address},
            .public_key = credentials.public_key,
            .token = credentials.token,
            .incarnation = incarnation};
  }
  library::Word wait() const { return library::wait_for_word(run_.folder(), place_, std::chrono::milliseconds(300)); }
  std::string failure() const {
    try {
      wait();
      return "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kPeerLost);
      return error.what();
    }
  }
  void SetUp() override {
    place_.rank = 1;
    place_.world = 2;
    place_.incarnation = "12.0 start 1";
  }

  ProgramRun run_;
  cluster::Place place_;
  const std::string token_ = cluster::make_token();
};

TEST_F(WaitForWordTest, TakesTheFirstAddressThatAnswers) {
  const cluster::Hub hub("tcp://127.0.0.1:0", token_, Uuid::random());
  const launcher::SchedulerFile file(run_.folder(), whereabouts_of(hub, "12.0 start 1"));
  const auto scheduler = wait().scheduler;
  ASSERT_TRUE(scheduler);
  EXPECT_EQ(scheduler->address, hub.credentials().address);
  EXPECT_EQ(scheduler->public_key, hub.credentials().public_key);
  EXPECT_EQ(scheduler->token, token_);
}

TEST_F(WaitForWordTest, DoesNotBelieveWhatAnotherStartLeft) {
  const cluster::Hub hub("tcp://127.0.0.1:0", token_, Uuid::random());
  const launcher::SchedulerFile file(run_.folder(), whereabouts_of(hub, "12.0 start 0"));
  EXPECT_NE(failure().find("scheduler.json, which rank 0 writes and all hosts must see, is of another start ('12.0 "
                           "start 0', this is '12.0 start 1')"),
            std::string::npos)
      << failure();
}

TEST_F(WaitForWordTest, SaysWhatItTried) {
  EXPECT_NE(failure().find("rank 1 of 2 on "), std::string::npos) << failure();
  EXPECT_NE(failure().find("scheduler.json, which rank 0 writes and all hosts must see, is not there"),
            std::string::npos)
      << failure();
  const launcher::SchedulerFile file(run_.folder(), {.addresses = {"tcp://127.0.0.1:1"},
                                                     .public_key = std::string(40, 'k'),
                                                     .token = token_,
                                                     .incarnation = "12.0 start 1"});
  EXPECT_NE(failure().find("names tcp://127.0.0.1:1, where nobody answers"), std::string::npos) << failure();
}

}  // namespace
}  // namespace convoy
