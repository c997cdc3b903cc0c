#include "launcher/command_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <string_view>
#include <utility>

#include "cluster/address.h"
#include "cluster/place.h"
#include "core/base/error.h"
#include "core/base/recipe_suggest.h"

namespace convoy::launcher {
namespace {

// What CLI11 calls an argument that was not expected: an option that there is not, or a word too many.
[[noreturn]] void refuse_extra(const CLI::App& app) {
  const std::vector<std::string> extra = app.remaining();
  const auto option = std::ranges::find_if(extra, [](const std::string& word) { return word.starts_with('-'); });
  if (option == extra.end()) {
    fail(ErrorCode::kUsage, "{}: '{}' is one word too many (see {} --help)", app.get_name(), extra.front(),
         app.get_name());
  }
  const std::string word = option->substr(0, option->find('='));
  std::vector<std::string> names;
  for (const CLI::Option* const known : app.get_options()) {
    for (const std::string& name : known->get_lnames()) names.push_back("--" + name);
    for (const std::string& name : known->get_snames()) names.push_back("-" + name);
  }
  const std::string nearest = nearest_word(word, {names.begin(), names.end()});
  fail(ErrorCode::kUsage, "{}: unknown option {}{} (see {} --help)", app.get_name(), word,
       nearest.empty() ? "" : fmt::format(" (did you mean {}?)", nearest), app.get_name());
}

// "5:7", or "5" for one step.
StepRange parse_steps(const std::string& who, const std::string& text) {
  StepRange steps;
  const std::size_t colon = text.find(':');
  const auto number = [&](std::string_view digits, std::int64_t& value) {
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return error == std::errc() && end == digits.data() + digits.size() && value >= 1;
  };
  const std::string_view view = text;
  const bool sound = number(view.substr(0, colon), steps.first) &&
                     number(colon == std::string::npos ? view : view.substr(colon + 1), steps.last);
  if (!sound || steps.last < steps.first)
    fail(ErrorCode::kUsage, "{}: --profile '{}': expected A:B, the first and the last step to time, from 1", who, text);
  return steps;
}

}  // namespace

std::optional<std::string> parse(CLI::App& app, std::vector<std::string> words) {
  std::reverse(words.begin(), words.end());  // as CLI11 takes them
  try {
    app.parse(std::move(words));
  } catch (const CLI::CallForHelp&) {
    return app.help();
  } catch (const CLI::ExtrasError&) {
    refuse_extra(app);
  } catch (const CLI::ParseError& error) {
    std::string what = error.what();
    std::replace(what.begin(), what.end(), '\n', ' ');
    fail(ErrorCode::kUsage, "{}: {} (see {} --help)", app.get_name(), what, app.get_name());
  }
  return std::nullopt;
}

CLI::Validator at_least(std::int64_t least) {
  return {[least](const std::string& text) -> std::string {
            double number = 0;
            const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
            const bool sound = error == std::errc() && end == text.data() + text.size() && std::isfinite(number);
            if (sound && number >= static_cast<double>(least)) return "";
            return fmt::format("expected {}, found {}", least == 0 ? "0 or more" : fmt::format("at least {}", least),
                               text);
          },
          ""};
}

void add_run_option(CLI::App& app, std::vector<std::string>& runs) {
  app.add_option("--run", runs, "where the run leaves its files (default: runs/RECIPE-TIME)")->allow_extra_args(false);
}
std::optional<std::string> one_run(const std::vector<std::string>& runs) {
  for (const std::string& run : runs) {
    if (run != runs.front()) fail(ErrorCode::kUsage, "--run is given twice and different: {}, {}", runs.front(), run);
  }
  return runs.empty() ? std::nullopt : std::optional(runs.front());
}

std::string whole_address(const std::string& text) {
  const std::string address = text.starts_with("tcp://") ? text : "tcp://" + text;
  return address.find(':', std::string_view("tcp://").size()) == std::string::npos ? address + ":0" : address;
}

CLI::Validator listen_address() {
  return {[](const std::string& text) -> std::string {
            try {
              (void)cluster::split_address(whole_address(text));
              return "";
            } catch (const Error&) {
              return fmt::format("expected an address of this host, ADDRESS or ADDRESS:PORT, found {}", text);
            }
          },
          ""};
}

void add_http_option(CLI::App& app, std::string& http) {
  const CLI::Validator address(
      [](const std::string& text) -> std::string {
        if (text == "none") return "";
        const std::size_t colon = text.rfind(':');
        std::uint16_t port = 0;
        const char* const end = text.data() + text.size();
        const bool sound = colon != std::string::npos && colon > 0 && colon + 1 < text.size() &&
                           text.find('/') == std::string::npos &&
                           std::from_chars(text.data() + colon + 1, end, port).ptr == end &&
                           std::from_chars(text.data() + colon + 1, end, port).ec == std::errc();
        return sound ? "" : fmt::format("expected HOST:PORT (port 0 takes a free one) or none, found {}", text);
      },
      "");
  app.add_option("--http", http,
                 "where the run's status page is served: HOST:PORT, or none (default: a free port of this machine)")
      ->check(address);
}

void add_place_option(CLI::App& app, std::string& place) {
  app.add_option("--place", place, "whose variables tell the worker its rank, if not the first found")
      ->check(
          CLI::IsMember(std::vector<std::string>(std::begin(cluster::kPlaceChoices), std::end(cluster::kPlaceChoices))))
      ->capture_default_str();
}

void check_min_workers(const std::string& who, int least, const char* workers_option, int workers) {
  if (least <= workers) return;
  fail(ErrorCode::kUsage, "{}: --min-workers {} is more than {} {}", who, least, workers_option, workers);
}

void check_overrides(const std::string& who, const std::vector<std::string>& overrides) {
  for (const std::string& override : overrides) {
    if (override.find('=') == std::string::npos || override.front() == '=')
      fail(ErrorCode::kUsage, "{}: '{}' is not key=value (as in train.steps=50)", who, override);
  }
}

Inspection InspectionWords::parsed(const std::string& who) const {
  Inspection result = inspection;
  if (!profile.empty()) result.profile = parse_steps(who, profile);
  return result;
}

void add_replay_options(CLI::App& app, InspectionWords& words) {
  app.add_option("--passes", words.inspection.passes, "which passes optimise the captured step: all, none, or names")
      ->capture_default_str();
  app.add_option("--profile", words.profile, "A:B: time every call of steps A to B");
}

void add_inspection_options(CLI::App& app, InspectionWords& words) {
  app.add_flag("--dry-run", words.inspection.dry_run, "print a step's memory, flops and traffic; train nothing");
  app.add_flag("--print-graph", words.inspection.print_graph,
               "print the captured step before and after each pass; train nothing");
  add_replay_options(app, words);
}

}  // namespace convoy::launcher
