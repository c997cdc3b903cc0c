// Options that several commands have, and how their words are checked: what stands between CLI11 and command_line.cpp,
// and seen by nobody else.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/inspection.h"

namespace convoy::launcher {

// Parses the words after a command. Returns the help text if that is what they ask for; throws Error(kUsage).
std::optional<std::string> parse(CLI::App& app, std::vector<std::string> words);

// CLI11's own ranges are worded as the limits of their types, and it reads -1 as a large number without a sign.
CLI::Validator at_least(std::int64_t least);
CLI::Validator listen_address();
// "10.0.0.1" or "10.0.0.1:4321", the scheme before it or not; without a port a free one is taken.
std::string whole_address(const std::string& text);

// An option that may be repeated as long as it says the same.
void add_run_option(CLI::App& app, std::vector<std::string>& runs);
std::optional<std::string> one_run(const std::vector<std::string>& runs);
// Where a run's status page is served.
void add_http_option(CLI::App& app, std::string& http);
void add_place_option(CLI::App& app, std::string& place);

struct InspectionWords {
  Inspection inspection{};
  std::string profile{};
  Inspection parsed(const std::string& who) const;
};
void add_replay_options(CLI::App& app, InspectionWords& words);
void add_inspection_options(CLI::App& app, InspectionWords& words);

// Throw Error(kUsage); `who`: the command.
void check_min_workers(const std::string& who, int least, const char* workers_option, int workers);
void check_overrides(const std::string& who, const std::vector<std::string>& overrides);

}  // namespace convoy::launcher
