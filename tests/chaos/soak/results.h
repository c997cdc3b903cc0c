// What the runs of a soak came to, kept in a file, so that a soak that was interrupted goes on where it was.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/chaos/soak/soak_run.h"

namespace convoy::chaos {

class SoakResults {
 public:
  // Goes on with what stands in `file`; an empty name: nothing is kept.
  explicit SoakResults(std::filesystem::path file);

  // Throws Error(kUnavailable).
  void add(const SoakResult& result);
  bool has(std::uint64_t seed) const { return seeds_.contains(seed); }
  bool all_well() const { return wrong_.empty(); }
  // A Markdown table by kind of fault, and what they came to altogether.
  std::string summary() const;

 private:
  void take(const std::string& line);

  std::filesystem::path file_;
  std::set<std::uint64_t> seeds_;
  std::set<std::uint64_t> wrong_;
  std::int64_t steps_lost_ = 0;
  std::map<std::string, std::vector<double>> recoveries_;  // by the fault's name; −1: there was nothing to recover
};

// "seed 7, 4 workers, static, gloo: 10 faults, bits equal, ...", one line, and what was wrong on further ones.
std::string describe(const SoakResult& result);

}  // namespace convoy::chaos
