// What a user wants to see of a run's work, instead of training or besides it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace convoy {

// Steps first … last, counted from 1.
struct StepRange {
  std::int64_t first = 1;
  std::int64_t last = 1;
};

struct Inspection {
  bool dry_run = false;              // memory, flops and traffic of a step; nothing is trained
  bool print_graph = false;          // the captured step, before and after each pass; nothing is trained
  std::string passes = "all";        // which passes run: "all", "none", "fusion,dead-code", "all,-fusion"
  std::optional<StepRange> profile;  // the steps whose calls are timed

  bool instead_of_training() const { return dry_run || print_graph; }
};

}  // namespace convoy
