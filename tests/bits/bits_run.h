// The real program trains one of the project's recipes on small data, started in any of the ways a user may start it,
// and what of such a run must not depend on who computed it.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/launched_run.h"

namespace convoy {

constexpr int kSteps = 20;

// The precisions (train.precision) in which the promise holds: every test of this folder is run in each of them.
inline const std::vector<std::string> kPrecisions = {"fp32", "bf16"};

struct Job {
  std::string recipe;                       // in recipes/
  std::vector<std::string> overrides = {};  // besides data and what stands below
  std::string precision = "fp32";
  int steps = kSteps;
};

// Who computes.
struct Workers {
  enum class Start { kConvoy, kMpirun };
  int count = 1;  // 0: `convoy train` without a launcher
  Start start = Start::kConvoy;
  std::string engine = "auto";
};

Workers under_mpirun(int count, const std::string& engine);
// "2 workers under mpirun, engine mpi".
std::string to_string(const Workers& workers);
// Whether runs under mpirun can be started here.
bool has_mpirun();

struct Outcome {
  std::vector<std::string> loss_bits;  // of every step
  std::string parameters_hash;
  std::string state_hash;
  nlohmann::json eval_loss;
  std::int32_t world = 0;  // the only one that may differ
};

// Fails the running test for each thing in which they differ but the number of workers.
void expect_same_bits(const Outcome& outcome, const Outcome& reference);

// A run in a folder of its own, with its data.
class BitsRun {
 public:
  BitsRun();

  // Fails the running test if the program does.
  void train(const Job& job, const Workers& workers);
  // As if it had been killed after it trained further than its checkpoint of `step`, and before the next one.
  void forget_what_followed(std::int64_t step);
  void resume(const Workers& workers, const std::vector<std::string>& overrides = {});

  Outcome outcome() const;
  // The lines of one of its records ("metrics", "events").
  std::vector<nlohmann::json> records(const std::string& name) const;

 private:
  void run(const Workers& workers, const std::vector<std::string>& words);

  testing_support::LaunchedRun run_;
};

// What such a run comes to.
Outcome train(const Job& job, const Workers& workers);

}  // namespace convoy
