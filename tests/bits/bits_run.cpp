#include "tests/bits/bits_run.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "tests/support/small_data.h"

namespace convoy {

Workers under_mpirun(int count, const std::string& engine) {
  return {.count = count, .start = Workers::Start::kMpirun, .engine = engine};
}

std::string to_string(const Workers& workers) {
  return fmt::format("{} workers{}, engine {}", workers.count,
                     workers.start == Workers::Start::kMpirun ? " under mpirun" : "", workers.engine);
}

bool has_mpirun() { return !std::string(CONVOY_MPIRUN).empty(); }

void expect_same_bits(const Outcome& outcome, const Outcome& reference) {
  EXPECT_EQ(outcome.loss_bits, reference.loss_bits);
  EXPECT_EQ(outcome.parameters_hash, reference.parameters_hash);
  EXPECT_EQ(outcome.state_hash, reference.state_hash);
  EXPECT_EQ(outcome.eval_loss, reference.eval_loss);
}

BitsRun::BitsRun() : run_("bits") {
  testing_support::write_text(run_.folder() / "text.txt", 40'000);
  testing_support::write_digits(run_.folder() / "digits", 600);
  testing_support::write_cifar10(run_.folder() / "cifar", 300);
}

void BitsRun::train(const Job& job, const Workers& workers) {
  std::vector<std::string> words = {"train",
                                    fmt::format("{}/recipes/{}", CONVOY_SOURCE_DIR, job.recipe),
                                    "--run",
                                    "run",
                                    fmt::format("train.steps={}", job.steps),
                                    fmt::format("checkpoint.every={}", job.steps / 2),
                                    fmt::format("train.eval_every={}", job.steps / 2),
                                    job.recipe.starts_with("mnist")   ? "data.path=digits"
                                    : job.recipe.starts_with("cifar") ? "data.path=cifar"
                                                                      : "data.path=text.txt",
                                    "train.precision=" + job.precision};
  words.insert(words.end(), job.overrides.begin(), job.overrides.end());
  run(workers, words);
}

void BitsRun::forget_what_followed(std::int64_t step) {
  for (std::int64_t later = step + 1; later <= kSteps; ++later)
    std::filesystem::remove_all(run_.folder() / fmt::format("run/checkpoints/step-{}", later));
  std::filesystem::remove(run_.folder() / "run/final.json");
}

void BitsRun::resume(const Workers& workers, const std::vector<std::string>& overrides) {
  std::vector<std::string> words = {"resume", "run"};
  words.insert(words.end(), overrides.begin(), overrides.end());
  run(workers, words);
}

void BitsRun::run(const Workers& workers, const std::vector<std::string>& words) {
  std::vector<std::string> command = {CONVOY_PROGRAM};
  if (workers.start == Workers::Start::kMpirun) {
    command.insert(command.begin(), {"/usr/bin/env", "OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
                                     CONVOY_MPIRUN, "--oversubscribe", "-np", std::to_string(workers.count)});
  } else if (workers.count > 0) {
    command.insert(command.end(), {"launch", "-n", std::to_string(workers.count), "--"});
  }
  command.insert(command.end(), words.begin(), words.end());
  command.push_back("sync.engine=" + workers.engine);
  run_.start(command);
  const auto exit = run_.wait_exit(std::chrono::seconds(120));
  EXPECT_TRUE(exit && exit->success()) << run_.output() << run_.errors();
}

std::vector<nlohmann::json> BitsRun::records(const std::string& name) const {
  std::vector<nlohmann::json> result;
  std::ifstream file(run_.folder() / "run" / (name + ".jsonl"));
  for (std::string line; std::getline(file, line);) result.push_back(nlohmann::json::parse(line));
  return result;
}

Outcome BitsRun::outcome() const {
  std::ifstream file(run_.folder() / "run/final.json");
  if (!file) return {};  // the test has failed already
  Outcome outcome;
  for (const nlohmann::json& line : records("metrics")) outcome.loss_bits.push_back(line.at("loss_bits"));
  const auto final_report = nlohmann::json::parse(file);
  outcome.parameters_hash = final_report.at("parameters_hash");
  outcome.state_hash = final_report.at("state_hash");
  outcome.eval_loss = final_report.at("eval_loss");
  outcome.world = final_report.at("world");
  return outcome;
}

Outcome train(const Job& job, const Workers& workers) {
  BitsRun run;
  run.train(job, workers);
  return run.outcome();
}

}  // namespace convoy
