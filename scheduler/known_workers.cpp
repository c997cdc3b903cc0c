#include "scheduler/known_workers.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "core/base/error.h"

namespace convoy::scheduler {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kTerm = "term ";

std::string text(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::int32_t number(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_number_integer() ? found->get<std::int32_t>() : -1;
}

// Of a ballot, "term.attempt", the term.
std::uint64_t number_at_front(std::string_view words) {
  std::uint64_t number = 0;
  std::from_chars(words.data(), words.data() + words.size(), number);
  return number;
}

std::optional<Uuid> worker_of(const Json& json) {
  const std::string worker = text(json, "worker");
  if (worker.empty()) return std::nullopt;
  try {
    return Uuid::parse(worker);
  } catch (const Error&) {  // by another hand
    return std::nullopt;
  }
}

// "pid 4711 on node7": see joined_detail().
void read_joined_detail(std::string_view detail, KnownWorker& worker) {
  constexpr std::string_view kPid = "pid ";
  constexpr std::string_view kOn = " on ";
  const std::size_t on = detail.find(kOn);
  if (!detail.starts_with(kPid) || on == std::string_view::npos) return;
  std::from_chars(detail.data() + kPid.size(), detail.data() + on, worker.pid);
  worker.host = detail.substr(on + kOn.size());
}

void add_event(const Json& json, KnownWorkers& known) {
  const std::string kind = text(json, "kind");
  const std::string detail = text(json, "detail");
  known.begun = known.begun || kind == "epoch";
  if (kind == "journal_damaged") known.damage.insert(detail);
  const std::optional<Uuid> uuid = worker_of(json);
  if (!uuid) {
    const std::size_t behind_title = std::min(detail.find('('), detail.size());
    if (kind == "worker_lost") known.unregistered[detail.substr(behind_title)] = number(json, "rank");
    return;
  }
  const auto found = std::ranges::find(known.workers, *uuid, &KnownWorker::uuid);
  if (kind == "worker_joined" && found == known.workers.end()) {
    KnownWorker worker{.uuid = *uuid, .number = number(json, "rank"), .host = {}};
    read_joined_detail(detail, worker);
    known.workers.push_back(std::move(worker));
  } else if (found != known.workers.end()) {
    found->told_lost = found->told_lost || kind == "worker_lost";
    found->told_excluded = found->told_excluded || kind == "worker_excluded";
    found->left = found->left || kind == "worker_left";
  }
}

// Which starts of a scheduler were restarts is on record; the one before them began.
std::uint64_t first_term_before(std::uint64_t term, const std::vector<Json>& events) {
  std::set<std::uint64_t> restarts;
  for (const Json& event : events) {
    const std::string detail = text(event, "detail");
    if (text(event, "kind") == "scheduler_restarted" && detail.starts_with(kTerm))
      restarts.insert(number_at_front(std::string_view(detail).substr(kTerm.size())));
  }
  std::uint64_t first = term;
  do {
    --first;
  } while (restarts.contains(first));
  return first;
}

}  // namespace

std::string joined_detail(std::int32_t pid, const std::string& host) { return fmt::format("pid {} on {}", pid, host); }

std::string unregistered_detail(std::int32_t pid, const std::string& how) {
  return fmt::format("(pid {}) {} before it registered", pid, how);
}

std::string restarted_detail(std::uint64_t term, const std::string& what) {
  return fmt::format("{}{}{}", kTerm, term, what);
}

KnownWorkers read_known_workers(const std::string& run_directory, std::uint64_t term,
                                std::optional<std::uint64_t> first_term) {
  std::vector<Json> events;
  std::ifstream file(run_directory + "/events.jsonl", std::ios::binary);
  for (std::string line; std::getline(file, line) && !file.eof();) {  // the end of the file ends no line
    Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (json.is_object() && text(json, "kind") != "checkpoint") events.push_back(std::move(json));
  }
  const std::uint64_t first = first_term ? *first_term : first_term_before(term, events);
  KnownWorkers known{.first_term = first};
  for (const Json& event : events) {
    if (number_at_front(text(event, "ballot")) >= first) add_event(event, known);
  }
  return known;
}

}  // namespace convoy::scheduler
