#include "launcher/preparation.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/base/error.h"

namespace convoy::launcher {
namespace {

using Words = std::vector<std::string>;

// A shell plays the program.
Preparation prepare(const std::string& script, Output& output) {
  return prepare_program({.program = "/bin/sh",
                          .arguments = {"-c", script},
                          .environment = {"PATH=/usr/bin:/bin", "CONVOY_RANK=7"},
                          .workers = 3,
                          .run_directory = "out"},
                         output);
}

TEST(PreparationTest, WordsTravelWhole) {
  const Words words{"scheduler", "--run=a b\n", ""};
  EXPECT_EQ(decode_words(encode_words(words)), words);
  EXPECT_TRUE(decode_words("cut short").empty());
}

TEST(PreparationTest, TheProgramIsToldWhatToPrepareAndAnswersThroughAPipe) {
  Output output(1, 2);
  const Preparation answer = prepare(
      "eval \"exec 9>&$CONVOY_PREPARE_FD\"; printf '%s\\0' \"$CONVOY_PREPARE_WORKERS\" \"$CONVOY_RUN\" "
      "\"rank=$CONVOY_RANK\" >&9",
      output);
  EXPECT_EQ(answer.exit_code, 0);
  EXPECT_EQ(answer.scheduler_arguments, (Words{"3", "out", "rank="})) << "an outer launcher's variables are not its";
}

TEST(PreparationTest, ARefusalIsPassedOnAsTheExitCode) {
  Output output(1, 2);
  EXPECT_EQ(prepare("echo 'convoy: no such key' >&2; exit 2", output).exit_code, 2);
}

TEST(PreparationTest, AProgramThatDoesNotAnswerOrIsKilledIsNamed) {
  Output output(1, 2);
  const auto message = [&](const std::string& script) -> std::string {
    try {
      prepare(script, output);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message("true"),
            "/bin/sh: ended without having prepared a run: expected a program built on Convoy's library");
  EXPECT_EQ(message("exit 1"), "/bin/sh exited with code 1 before the run began");
  EXPECT_EQ(message("echo Traceback >&2; exit 3"), "/bin/sh exited with code 3 before the run began");
  EXPECT_EQ(message("kill -9 $$"), "/bin/sh was killed by signal 9 (SIGKILL) before the run began");
}

TEST(PreparationTest, ProgramsAreFoundAsAShellFindsThem) {
  EXPECT_EQ(find_program("/bin/sh", ""), "/bin/sh");
  EXPECT_EQ(find_program("sh", "/nowhere:/bin"), "/bin/sh");
  EXPECT_THROW(find_program("sh", "/nowhere"), Error);
  EXPECT_THROW(find_program("/bin", ""), Error);
  try {
    find_program("trian", "/bin");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "convoy launch: cannot launch 'trian': expected 'train' or a program; did you mean 'train'?");
  }
}

}  // namespace
}  // namespace convoy::launcher
