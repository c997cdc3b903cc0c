#include "scheduler/recorded_run.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>
#include <variant>
#include <vector>

#include "core/base/error.h"
#include "scheduler/journal.h"
#include "scheduler/recipe_facts.h"
#include "scheduler/run_history.h"

namespace convoy::scheduler {

namespace {

namespace fs = std::filesystem;

void check(const std::string& run_directory) {
  std::error_code error;
  const fs::file_status status = fs::status(run_directory, error);
  if (!fs::exists(status)) fail(ErrorCode::kUsage, "{}: no such run directory", run_directory);
  if (!fs::is_directory(status)) fail(ErrorCode::kUsage, "{}: not a directory: expected a run's", run_directory);
  // A run whose first step is yet to come has no more than these.
  for (const char* sign : {"recipe.toml", "events.jsonl", "metrics.jsonl", "http.json"}) {
    if (fs::exists(fs::path(run_directory) / sign, error)) return;
  }
  fail(ErrorCode::kUsage, "{}: holds no run (no recipe.toml, no records)", run_directory);
}

// What final.json adds: rates over the whole run.
void add_final(const std::string& path, RunView& view) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return;
  const auto json = nlohmann::json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return;
  view.state = RunState::kFinished;
  view.reason.clear();
  const auto number = [&](const char* name, double& value) {
    const auto found = json.find(name);
    if (found == json.end() || !found->is_number()) return false;
    value = found->get<double>();
    return true;
  };
  number("samples_per_s", view.samples_per_s);
  if (number("tokens_per_s", view.rate)) {
    view.rate_unit = "tokens/s";
  } else if (number("samples_per_s", view.rate)) {
    view.rate_unit = "samples/s";
  }
  number("final_loss", view.loss);
  double steps = 0.0;
  if (number("steps", steps)) view.step = view.steps = static_cast<std::int64_t>(steps);
}

// Of the last epoch on record, without those that have been lost or have left since.
void add_workers(const std::vector<JournalRecord>& journal, const RunHistory& history, RunView& view) {
  const EpochRecord* last = nullptr;
  for (const JournalRecord& record : journal) {
    if (const auto* epoch = std::get_if<EpochRecord>(&record)) last = epoch;
    if (const auto* term = std::get_if<TermRecord>(&record)) view.term = std::max(view.term, term->term);
  }
  if (last == nullptr) return;
  view.ballot = std::max(view.ballot, last->ballot);
  std::int32_t rank = 0;
  for (const cluster::Member& member : last->epoch.members) {
    const std::int32_t place = rank++;
    const bool gone = std::any_of(history.events().begin(), history.events().end(), [&](const TimedEvent& entry) {
      const std::string_view kind = entry.event.kind;
      return entry.event.worker == member.uuid && (kind == "worker_lost" || kind == "worker_left");
    });
    if (gone) continue;
    view.workers.push_back(
        {.uuid = member.uuid, .rank = place, .host = member.host, .pid = member.pid, .phase = "", .step = view.step});
  }
}

}  // namespace

RunView read_recorded_run(const std::string& run_directory) {
  check(run_directory);
  const RecipeFacts recipe = read_recipe_facts(run_directory);
  const RunHistory history(run_directory);
  RunView view;
  view.time_s = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  view.run_directory = run_directory;
  view.recipe = recipe.name;
  view.steps = recipe.steps;
  history.describe(view);
  view.state = RunState::kAway;
  for (const TimedEvent& entry : history.events()) {
    const std::string_view kind = entry.event.kind;
    const bool stopped = kind == "run_stopped";
    if (stopped || kind == "run_finished") {
      view.state = stopped ? RunState::kStopped : RunState::kFinished;
      view.reason = entry.event.detail;
    } else if (kind == "epoch" || kind == "worker_joined" || kind == "resumed") {
      view.state = RunState::kAway;  // it was taken up again
      view.reason.clear();
    }
  }
  add_final(run_directory + "/final.json", view);
  if (view.state == RunState::kAway) {
    try {
      add_workers(read_journal(run_directory + "/journal"), history, view);
    } catch (const Error&) {  // what else is on record can be told all the same
    }
    history.describe_workers(view);
  }
  return view;
}

}  // namespace convoy::scheduler
