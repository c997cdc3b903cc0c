// Where `convoy status` learns of a run from: its directory, or the address of its status page.
#pragma once

#include <optional>
#include <string>

#include "scheduler/run_view.h"

namespace convoy::library {

struct RunSource {
  // `token`: of the page, empty where none is known.
  static RunSource parse(const std::string& source, const std::string& token);  // throws Error(kUsage), (kUnavailable)

  std::string directory;  // or:
  std::string address;    // "10.0.0.7:8080"
  std::string token;
};

struct Told {
  scheduler::RunView view;
  std::string url{};  // of the page that told it; empty: records did
  bool dead = false;  // by its records the run goes on, but none of its processes is there any more
};
// Asks the page; for a directory whose scheduler does not answer, reads the records, and the view's reason says why
// they were read. Throws Error(kUnavailable) where nobody answers at an address, or asks for another token.
Told ask(const RunSource& source);

}  // namespace convoy::library
