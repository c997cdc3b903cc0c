// `convoy status` of runs that go on, are over, or were killed, and of what is none.
#include <gtest/gtest.h>
#include <signal.h>

#include <nlohmann/json.hpp>

#include "tests/program/program_run.h"

namespace convoy {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// Two workers with more to do than the test waits for; `status` runs beside it.
class StatusTest : public testing::Test {
 protected:
  void launch(const std::vector<std::string>& options = {}) {
    std::vector<std::string> command = {CONVOY_PROGRAM, "launch", "-n", "2", "--run", "out"};
    command.insert(command.end(), options.begin(), options.end());
    command.insert(command.end(), {"--", "train", "gpt.toml", "train.steps=1000000"});
    run.start(command);
    ASSERT_TRUE(run.wait_until([this] { return contains(run.read("out/metrics.jsonl"), "\"step\": 3,"); }, 30s))
        << run.errors();
  }
  Json json(const std::vector<std::string>& words) {
    std::vector<std::string> command = {"status", "--json"};
    command.insert(command.end(), words.begin(), words.end());
    EXPECT_EQ(look.run(command), 0) << look.errors();
    return Json::parse(look.output(), nullptr, false);
  }
  std::string out() const { return (run.folder() / "out").string(); }

  ProgramRun run;
  ProgramRun look;
};

TEST_F(StatusTest, ARunThatGoesOn) {
  launch();
  Json told;  // what is told is some moments old
  EXPECT_TRUE(run.wait_until([&] { return (told = json({out()}))["step"] >= 3; }, 10s)) << told;
  EXPECT_EQ(told["live"], true);
  EXPECT_EQ(told["state"], "running");
  EXPECT_EQ(told["recipe"], "gpt on text");
  EXPECT_EQ(told["steps"], 1000000);
  EXPECT_GT(told["rate"], 0.0);
  EXPECT_EQ(told["rate_unit"], "tokens/s");
  ASSERT_EQ(told["workers"].size(), 2u);
  EXPECT_EQ(told["workers"][1]["rank"], 1);
  EXPECT_GT(told["workers"][1]["pid"], 0);
  EXPECT_GT(told["workers"][1]["joined"], told["started"].get<double>() - 1.0);
  EXPECT_FALSE(told["workers"][0]["step_time"].is_null());
  EXPECT_GE(told["loss_curve"].size(), 3u);
  EXPECT_EQ(told["events"][0]["kind"], "worker_joined");

  ASSERT_EQ(look.run({"status", out()}), 0) << look.errors();
  EXPECT_TRUE(contains(look.output(), "gpt on text: running\n")) << look.output();
  EXPECT_TRUE(contains(look.output(), "status page: http://127.0.0.1:")) << look.output();
  EXPECT_TRUE(contains(look.output(), "worker_joined (rank 1)")) << look.output();
  EXPECT_FALSE(contains(run.output(), "status page")) << "nobody asked for it";
  const std::string address = Json::parse(run.read("out/http.json"))["address"];
  EXPECT_EQ(json({address})["run"], told["run"]);
  EXPECT_EQ(json({"http://" + address + "/"})["run"], told["run"]);
}

TEST_F(StatusTest, ARunWhosePageIsForOthersToo) {
  launch({"--http", "0.0.0.0:0"});
  const Json place = Json::parse(run.read("out/http.json"));
  const std::string token = place["token"];
  ASSERT_EQ(token.size(), 32u);
  EXPECT_TRUE(contains(run.output(), "status page: http://") && contains(run.output(), "/?token=" + token))
      << run.output();
  const std::string listening = place["address"];
  const std::string address = "127.0.0.1" + listening.substr(listening.rfind(':'));
  EXPECT_EQ(look.run({"status", address}), 1);
  EXPECT_EQ(look.errors(),
            "convoy: " + address + ": the page asks for its token: give it in CONVOY_HTTP_TOKEN or --token-file\n");
  look.write("wrong", "0123\n");
  EXPECT_EQ(look.run({"status", address, "--token-file", "wrong"}), 1);
  EXPECT_EQ(look.errors(), "convoy: " + address + ": the page has another token than the one given\n");
  look.write("right", token + "\n");
  EXPECT_EQ(json({address, "--token-file", "right"})["live"], true);
  EXPECT_EQ(json({"http://" + address + "/?token=" + token})["live"], true);
  EXPECT_EQ(look.run_command({"/usr/bin/env", "CONVOY_HTTP_TOKEN=" + token, CONVOY_PROGRAM, "status", address}), 0);
  EXPECT_EQ(json({out()})["live"], true) << "its directory holds the token";
}

TEST_F(StatusTest, ARunThatWasKilled) {
  launch();
  for (const pid_t process : run.processes()) ::kill(process, SIGKILL);
  ASSERT_TRUE(run.wait_until([this] { return run.processes().empty(); }, 10s));
  const Json told = json({out()});
  EXPECT_EQ(told["live"], false);
  EXPECT_EQ(told["state"], "away");
  EXPECT_TRUE(contains(told["reason"], "no scheduler answers (127.0.0.1:")) << told["reason"];
  EXPECT_TRUE(contains(told["reason"], "none of the run's processes is there any more")) << told["reason"];
  EXPECT_GE(told["step"], 3);
  EXPECT_EQ(told["workers"].size(), 2u);
  ASSERT_EQ(look.run({"status", out()}), 0);
  EXPECT_TRUE(contains(look.output(), "gpt on text: away\nno scheduler answers")) << look.output();
}

TEST_F(StatusTest, ARunWithoutAPage) {
  launch({"--http", "none"});
  const Json told = json({out()});
  EXPECT_EQ(told["state"], "away");
  EXPECT_TRUE(contains(told["reason"], "it serves no page)")) << "its processes are there: " << told["reason"];
}

TEST_F(StatusTest, ARunThatIsOver) {
  ASSERT_EQ(look.run({"train", "gpt.toml", "--run", "done"}), 0) << look.errors();
  EXPECT_FALSE(std::filesystem::exists(look.folder() / "done/http.json"));
  const Json told = json({"done"});
  EXPECT_EQ(told["live"], false);
  EXPECT_EQ(told["state"], "finished");
  EXPECT_EQ(told["step"], 5);
  EXPECT_EQ(told["loss_curve"].size(), 5u);
  EXPECT_EQ(told["checkpoint"]["step"], 5);
  ASSERT_EQ(look.run({"status", "done"}), 0);
  EXPECT_EQ(look.output().substr(0, look.output().find('\n')), "done, gpt on text: finished");
  EXPECT_TRUE(contains(look.output(), "step 5/5  loss ")) << look.output();
  ASSERT_EQ(look.run({"status", "done", "--watch"}), 0);
  EXPECT_TRUE(look.output().starts_with("finished  step 5/5  loss ")) << look.output();
}

TEST_F(StatusTest, WatchingEndsWithTheRun) {
  run.start({CONVOY_PROGRAM, "train", "gpt.toml", "--run", "out", "train.steps=400"});
  ASSERT_TRUE(run.wait_until([this] { return contains(run.read("out/metrics.jsonl"), "\"step\": 1,"); }, 30s));
  ASSERT_EQ(look.run({"status", out(), "--watch"}), 0) << look.errors();
  EXPECT_TRUE(contains(look.output(), "finished  step 400/400")) << look.output();
  EXPECT_FALSE(contains(look.output(), "\x1b")) << "this is no terminal";
}

TEST_F(StatusTest, WhatIsNoRun) {
  look.write("file", "x");
  std::filesystem::create_directories(look.folder() / "empty");
  struct Case {
    std::vector<std::string> words;
    int code;
    std::string message;
  };
  for (const auto& [words, code, message] :
       std::vector<Case>{{{"nothing"}, 2, "nothing: no such run directory, nor an address (HOST:PORT)"},
                         {{"runs/nothing:80"}, 2, "runs/nothing:80: no such run directory, nor an address (HOST:PORT)"},
                         {{"file"}, 2, "file: not a directory: expected a run's"},
                         {{"empty"}, 2, "empty: holds no run (no recipe.toml, no records)"},
                         {{"127.0.0.1:1"}, 1, "127.0.0.1:1: Connection refused"},
                         {{"127.0.0.1:1", "--watch"}, 1, "127.0.0.1:1: Connection refused"},
                         {{"127.0.0.1:http"}, 2, "127.0.0.1:http: expected HOST:PORT, as in 127.0.0.1:8080"},
                         {{"127.0.0.1:1", "--token-file", "none"},
                          2,
                          "--token-file none: cannot be read, or is empty: expected a token"}}) {
    std::vector<std::string> command = {"status"};
    command.insert(command.end(), words.begin(), words.end());
    EXPECT_EQ(look.run(command), code) << words[0];
    EXPECT_EQ(look.errors(), "convoy: " + message + "\n");
    EXPECT_EQ(look.output(), "") << words[0];
  }
}

}  // namespace
}  // namespace convoy
