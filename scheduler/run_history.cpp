#include "scheduler/run_history.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "core/base/error.h"

namespace convoy::scheduler {

namespace {

using Json = nlohmann::json;

// The step of a line of metrics.jsonl, which begins with it: most lines of a long run need no closer look.
std::optional<std::int64_t> step_of(std::string_view line) {
  constexpr std::string_view kBegin = "{\"step\": ";
  if (!line.starts_with(kBegin) || !line.ends_with('}')) return std::nullopt;
  std::int64_t step = 0;
  const auto [end, error] = std::from_chars(line.data() + kBegin.size(), line.data() + line.size(), step);
  return error == std::errc() && step > 0 ? std::optional(step) : std::nullopt;
}

double number(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_number() ? found->get<double>() : std::nan("");
}

std::int64_t integer(const Json& json, const char* name, std::int64_t absent) {
  const auto found = json.find(name);
  return found != json.end() && found->is_number_integer() ? found->get<std::int64_t>() : absent;
}

std::string text(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Ballot ballot_of(std::string_view written) {
  Ballot ballot;
  const char* const end = written.data() + written.size();
  const auto term = std::from_chars(written.data(), end, ballot.term);
  if (term.ec == std::errc() && term.ptr != end) std::from_chars(term.ptr + 1, end, ballot.attempt);
  return ballot;
}

cluster::StepReport report_of(std::int64_t step, const Json& json) {
  return {.step = step,
          .loss = number(json, "loss"),
          .lr = number(json, "lr"),
          .grad_norm = number(json, "grad_norm"),
          .samples = integer(json, "samples", 0),
          .tokens = integer(json, "tokens", -1),
          .step_ms = number(json, "step_ms"),
          .compute_ms = number(json, "compute_ms"),
          .comm_ms = number(json, "comm_ms"),
          .world = static_cast<std::int32_t>(integer(json, "world", 0)),
          .ballot = ballot_of(text(json, "ballot"))};
}

Json parse(const std::string& line) { return Json::parse(line, nullptr, /*allow_exceptions=*/false); }

}  // namespace

RunHistory::RunHistory(const std::string& run_directory) {
  read_metrics(run_directory + "/metrics.jsonl");
  read_events(run_directory + "/events.jsonl");
}

void RunHistory::read_metrics(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::deque<std::string> last_lines;
  std::int64_t last = 0;
  for (std::string line; std::getline(file, line) && !file.eof();) {  // the end of the file ends no line
    const auto step = step_of(line);
    if (!step || *step <= last) continue;
    last = *step;
    if (curve_.wants(*step)) curve_.add(*step, number(parse(line), "loss"));
    if (last_lines.size() == kSteps) last_lines.pop_front();
    last_lines.push_back(std::move(line));
  }
  for (const std::string& line : last_lines) {
    const Json json = parse(line);
    if (json.is_object()) keep(report_of(*step_of(line), json), {});
  }
  if (!steps_.empty() && !curve_.wants(last)) curve_.add(last, steps_.back().report.loss);
}

void RunHistory::read_events(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  for (std::string line; std::getline(file, line) && !file.eof();) {
    const Json json = parse(line);
    if (!json.is_object() || text(json, "kind").empty()) continue;
    Event event{.kind = text(json, "kind"),
                .worker = std::nullopt,
                .rank = static_cast<std::int32_t>(integer(json, "rank", -1)),
                .ballot = ballot_of(text(json, "ballot")),
                .step = integer(json, "step", 0),
                .detail = text(json, "detail")};
    try {
      if (const std::string worker = text(json, "worker"); !worker.empty()) event.worker = Uuid::parse(worker);
    } catch (const Error&) {  // by another hand: still worth showing
    }
    const double time = number(json, "time");
    add(event, std::isfinite(time) ? time : 0.0);
  }
}

void RunHistory::keep(const cluster::StepReport& report, const Uuid& reporter) {
  if (steps_.size() == kSteps) steps_.pop_front();
  steps_.push_back({.report = report, .reporter = reporter});
}

void RunHistory::add(const cluster::StepReport& report, const Uuid& reporter) {
  curve_.add(report.step, report.loss);
  keep(report, reporter);
  ++steps_done_;
  if (std::isfinite(report.step_ms)) steps_done_s_ += report.step_ms / 1e3;
}

void RunHistory::add(const Event& event, double time_s) {
  if (started_s_ == 0.0) started_s_ = time_s;
  // A scheduler that was started anew may hear once more of who was lost before.
  if (event.kind == "worker_joined" && (!event.worker || joined_s_.emplace(*event.worker, time_s).second)) ++joined_;
  if (event.kind == "worker_lost" && (!event.worker || lost_workers_.insert(*event.worker).second)) ++lost_;
  if (event.kind == "scheduler_restarted") ++restarts_;
  if (event.kind == "checkpoint") checkpoint_ = CheckpointView{.step = event.step, .time_s = time_s};
  if (events_.size() == kEvents) events_.pop_front();
  events_.push_back({.time_s = time_s, .event = event});
}

std::optional<StepSpread> RunHistory::spread(const std::optional<Uuid>& reporter) const {
  std::vector<double> times;
  for (const Step& step : steps_) {
    if ((!reporter || step.reporter == *reporter) && std::isfinite(step.report.step_ms))
      times.push_back(step.report.step_ms);
  }
  if (times.empty()) return std::nullopt;
  std::sort(times.begin(), times.end());
  // The smallest time that so many percent of the steps do not exceed.
  const auto quantile = [&](std::size_t percent) { return times[(times.size() * percent + 99) / 100 - 1]; };
  return StepSpread{
      .median_ms = quantile(50), .p99_ms = quantile(99), .steps = static_cast<std::int32_t>(times.size())};
}

void RunHistory::describe_rate(RunView& view) const {
  double seconds = 0.0;
  std::int64_t samples = 0;
  std::int64_t tokens = 0;
  for (const Step& step : steps_) {
    if (!std::isfinite(step.report.step_ms)) continue;
    seconds += step.report.step_ms / 1e3;
    samples += step.report.samples;
    tokens += std::max(step.report.tokens, std::int64_t{0});
  }
  if (seconds <= 0.0) return;
  const bool text = steps_.back().report.tokens >= 0;
  view.samples_per_s = static_cast<double>(samples) / seconds;
  view.rate = text ? static_cast<double>(tokens) / seconds : view.samples_per_s;
  view.rate_unit = text ? "tokens/s" : "samples/s";
}

void RunHistory::describe(RunView& view) const {
  if (!steps_.empty()) {
    const cluster::StepReport& last = steps_.back().report;
    view.step = last.step;
    view.loss = last.loss;
    view.ballot = std::max(view.ballot, last.ballot);
    describe_rate(view);
  }
  if (!events_.empty()) view.ballot = std::max(view.ballot, events_.back().event.ballot);
  view.step_time = spread(std::nullopt);
  view.loss_curve = curve_.points();
  view.events = {events_.begin(), events_.end()};
  view.checkpoint = checkpoint_;
  view.started_s = started_s_;
  view.scheduler_restarts = restarts_;
  view.workers_joined = joined_;
  view.workers_lost = lost_;
  view.steps_done = steps_done_;
  view.steps_done_s = steps_done_s_;
}

void RunHistory::describe_workers(RunView& view) const {
  for (WorkerView& worker : view.workers) {
    if (const auto joined = joined_s_.find(worker.uuid); joined != joined_s_.end()) worker.joined_s = joined->second;
    if (!worker.uuid.is_nil()) worker.step_time = spread(worker.uuid);
  }
}

}  // namespace convoy::scheduler
