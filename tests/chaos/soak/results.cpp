#include "tests/chaos/soak/results.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/base/error.h"

namespace convoy::chaos {
namespace {

using nlohmann::json;

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

json line_of(const SoakResult& result) {
  json line = {{"seed", result.seed},
               {"workers", result.company.workers},
               {"graph", result.company.graph},
               {"engine", result.company.engine},
               {"steps_lost", result.steps_lost},
               {"step_s", result.step_s},
               {"wrong", result.wrong},
               {"faults", json::array()}};
  for (const StruckBlow& struck : result.struck)
    line["faults"].push_back({{"kind", name_of(struck.blow)}, {"recovery_s", struck.recovery_s.value_or(-1.0)}});
  return line;
}

}  // namespace

SoakResults::SoakResults(std::filesystem::path file) : file_(std::move(file)) {
  if (file_.empty()) return;
  for (const std::string& line : lines_of(file_)) take(line);
}

void SoakResults::take(const std::string& text) {
  const json line = json::parse(text);
  seeds_.insert(line.at("seed").get<std::uint64_t>());
  if (!line.at("wrong").get<std::string>().empty()) wrong_.insert(line.at("seed").get<std::uint64_t>());
  steps_lost_ += line.at("steps_lost").get<std::int64_t>();
  for (const json& fault : line.at("faults")) recoveries_[fault.at("kind")].push_back(fault.at("recovery_s"));
}

void SoakResults::add(const SoakResult& result) {
  const std::string line = line_of(result).dump();
  take(line);
  if (file_.empty()) return;
  std::ofstream file(file_, std::ios::app);
  file << line << "\n" << std::flush;
  if (!file) fail(ErrorCode::kUnavailable, "cannot write {}", file_.string());
}

std::string SoakResults::summary() const {
  std::string text = "| fault | struck | recovery: median, s | worst, s |\n| --- | ---: | ---: | ---: |\n";
  std::size_t faults = 0;
  for (const auto& [kind, all] : recoveries_) {
    faults += all.size();
    std::vector<double> known;
    std::ranges::copy_if(all, std::back_inserter(known), [](double value) { return value >= 0.0; });
    text += known.empty() ? fmt::format("| {} | {} | | |\n", kind, all.size())
                          : fmt::format("| {} | {} | {:.3f} | {:.3f} |\n", kind, all.size(), median(known),
                                        *std::ranges::max_element(known));
  }
  text += fmt::format("\n{} faults in {} runs; runs that did not end as if nothing had happened: {}; steps lost: {}.\n",
                      faults, seeds_.size(), wrong_.size(), steps_lost_);
  if (!wrong_.empty()) {
    text += "Their seeds:";
    for (const std::uint64_t seed : wrong_) text += fmt::format(" {}", seed);
    text += "\n";
  }
  return text;
}

std::string describe(const SoakResult& result) {
  double worst = 0.0;
  for (const StruckBlow& struck : result.struck) worst = std::max(worst, struck.recovery_s.value_or(0.0));
  std::string text =
      fmt::format("seed {}: {} workers, {}, {}: {} faults, {}, step {:.1f} ms, worst recovery {:.3f} s\n", result.seed,
                  result.company.workers, result.company.graph, result.company.engine, result.struck.size(),
                  result.wrong.empty() ? "bits equal" : "WRONG", result.step_s * 1e3, worst);
  return text + result.wrong + result.account;
}

}  // namespace convoy::chaos
