// Runs that are struck again and again at random, each drawn from its seed.
//
//   soak_test [--results FILE] [--faults N] [--steps N] FIRST-SEED RUNS
//
// Prints a line a run, and a summary; the seed of one that went wrong, which strikes the same way again. With --results
// seeds that are there already are left out.
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "tests/chaos/soak/results.h"
#include "tests/chaos/soak/soak_run.h"

namespace convoy::chaos {
namespace {

struct Words {
  std::string results{};
  int faults = 10;  // a run
  std::int64_t steps = 400;
  std::uint64_t first = 1;
  std::uint64_t runs = 1;
};

Words parse(const std::vector<std::string>& words) {
  Words parsed;
  std::vector<std::uint64_t> numbers;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const bool has_value = i + 1 < words.size();
    if (words[i] == "--results" && has_value) {
      parsed.results = words[++i];
    } else if (words[i] == "--faults" && has_value) {
      parsed.faults = std::atoi(words[++i].c_str());
    } else if (words[i] == "--steps" && has_value) {
      parsed.steps = std::atoll(words[++i].c_str());
    } else {
      numbers.push_back(std::strtoull(words[i].c_str(), nullptr, 10));
    }
  }
  if (numbers.size() != 2 || numbers[1] == 0 || parsed.faults < 1 || parsed.steps < 20)
    fail(ErrorCode::kUsage, "usage: soak_test [--results FILE] [--faults N] [--steps N] FIRST-SEED RUNS");
  parsed.first = numbers[0];
  parsed.runs = numbers[1];
  return parsed;
}

int run(const Words& words) {
  SoakResults results(words.results);
  std::optional<Traces> undisturbed;
  for (std::uint64_t seed = words.first; seed < words.first + words.runs; ++seed) {
    if (results.has(seed)) continue;
    if (!undisturbed) undisturbed = undisturbed_soak(words.steps);
    const SoakResult result = soak(plan_of(seed, words.faults, words.steps), words.steps, *undisturbed);
    std::fputs(describe(result).c_str(), stdout);
    std::fflush(stdout);
    results.add(result);
  }
  std::fputs(("\n" + results.summary()).c_str(), stdout);
  return results.all_well() ? 0 : 1;
}

}  // namespace
}  // namespace convoy::chaos

int main(int count, char** words) {
  try {
    return convoy::chaos::run(convoy::chaos::parse({words + 1, words + count}));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
