#include "scheduler/records.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/base/durable_file.h"
#include "core/base/error.h"
#include "core/base/quantity.h"
#include "scheduler/shard_lists.h"

namespace convoy::scheduler {

namespace {

// One JSON object, fields in the order they are added. Numbers that JSON cannot say (NaN, ∞) become null.
class JsonObject {
 public:
  // `separator` stands between fields: ", " for a line, ",\n  " for a page.
  explicit JsonObject(std::string separator) : separator_(std::move(separator)) {}

  JsonObject& text(std::string_view name, std::string_view value) {
    // Bytes that are no UTF-8 (paths, messages of the system) are replaced, not refused.
    return raw(name, nlohmann::json(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  }
  JsonObject& integer(std::string_view name, std::int64_t value) { return raw(name, fmt::format("{}", value)); }
  // The shortest text that reads back to the same value.
  JsonObject& number(std::string_view name, double value) {
    return raw(name, std::isfinite(value) ? fmt::format("{}", value) : "null");
  }
  JsonObject& exact(std::string_view name, double value) {
    return raw(name, std::isfinite(value) ? fmt::format("{:.17g}", value) : "null");
  }
  JsonObject& raw(std::string_view name, std::string_view value) {
    if (!fields_.empty()) fields_ += separator_;
    fields_ += fmt::format("\"{}\": {}", name, value);
    return *this;
  }
  const std::string& fields() const { return fields_; }
  std::string line() const { return fmt::format("{{{}}}", fields_); }

 private:
  std::string separator_;
  std::string fields_;
};

// A line as JSON, whatever stands there.
nlohmann::json parse_line(const std::string& line) {
  return nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
}

// -1: it is no line of metrics.jsonl or events.jsonl.
std::int64_t step_of_line(const nlohmann::json& line) {
  if (!line.is_object()) return -1;
  const auto step = line.find("step");
  return step != line.end() && step->is_number_integer() ? step->get<std::int64_t>() : -1;
}

// Leaves whole lines of steps up to `last`, each step once.
void cut_metrics(const std::string& path, std::int64_t last) {
  if (!std::filesystem::is_regular_file(path)) return;
  std::ifstream file(path, std::ios::binary);
  DurableFile kept(path);
  std::int64_t step = 0;
  for (std::string line; std::getline(file, line) && !file.eof();) {  // the end of the file ends no line
    const std::int64_t found = step_of_line(parse_line(line));
    if (found <= step || found > last) continue;
    step = found;
    kept.write(line + '\n');
  }
  kept.commit();
}

// Leaves whole lines, in a file of one's own: an earlier scheduler that was only asleep, in the middle of writing a
// line, writes it where nobody reads.
void take_over(const std::string& path) {
  if (!std::filesystem::is_regular_file(path)) return;
  std::ifstream file(path, std::ios::binary);
  DurableFile kept(path);
  for (std::string line; std::getline(file, line) && !file.eof();) kept.write(line + '\n');
  kept.commit();
}

}  // namespace

std::string evaluation_detail(const cluster::EvalReport& report) {
  return fmt::format("held-out loss {:.4f}{}", unsigned_nan(report.loss),
                     report.accuracy ? fmt::format(", accuracy {:.2f} %", 100 * *report.accuracy) : "");
}

Event evaluation_event(const cluster::EvalReport& report, const Ballot& ballot) {
  return {.kind = "eval",
          .worker = std::nullopt,
          .ballot = ballot,
          .step = report.step,
          .detail = evaluation_detail(report)};
}

LineFile::LineFile(std::string path)
    : path_(std::move(path)), descriptor_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) {
  if (descriptor_ < 0) fail(ErrorCode::kUnavailable, "cannot open {}: {}", path_, errno_text(errno));
}

LineFile::~LineFile() { ::close(descriptor_); }

void LineFile::append(std::string_view line) {
  const std::string whole = fmt::format("{}\n", line);
  ssize_t written = -1;
  do {
    written = ::write(descriptor_, whole.data(), whole.size());
  } while (written < 0 && errno == EINTR);
  if (written < 0) fail(ErrorCode::kUnavailable, "cannot write {}: {}", path_, errno_text(errno));
  if (static_cast<std::size_t>(written) == whole.size()) return;
  // Readers would take half a line and the next for one.
  const off_t end = ::lseek(descriptor_, 0, SEEK_END);
  const bool mended = end >= written && ::ftruncate(descriptor_, end - written) == 0;
  fail(ErrorCode::kUnavailable, "cannot write {}: the disk is full{}", path_, mended ? "" : ", and a line is torn");
}

void LineFile::sync() {
  if (::fdatasync(descriptor_) != 0) fail(ErrorCode::kUnavailable, "cannot flush {}: {}", path_, errno_text(errno));
}

namespace {

// Makes the files those of a run that was stopped after `step`, or goes on; returns the folder.
const std::string& cut_back(const std::string& run_directory, std::int64_t step, bool goes_on) {
  if (goes_on) {
    take_over(run_directory + "/metrics.jsonl");
    take_over(run_directory + "/events.jsonl");
    return run_directory;
  }
  const std::string final_report = run_directory + "/final.json";
  if (::unlink(final_report.c_str()) != 0 && errno != ENOENT)
    fail(ErrorCode::kUnavailable, "cannot remove {}: {}", final_report, errno_text(errno));
  cut_metrics(run_directory + "/metrics.jsonl", step);
  take_over(run_directory + "/events.jsonl");
  return run_directory;
}

}  // namespace

Records::Records(const std::string& run_directory, std::int64_t resume_step, bool restarted)
    : run_directory_(cut_back(run_directory, resume_step, restarted)),
      metrics_(run_directory + "/metrics.jsonl"),
      events_(run_directory + "/events.jsonl"),
      recorded_step_(resume_step) {
  if (!restarted) return;
  std::ifstream file(run_directory + "/metrics.jsonl", std::ios::binary);
  for (std::string line; std::getline(file, line);) {
    if (const std::int64_t step = step_of_line(parse_line(line)); step > recorded_step_) ahead_.emplace(step, "");
  }
  write_in_order();
  std::ifstream events(run_directory + "/events.jsonl", std::ios::binary);
  for (std::string line; std::getline(events, line);) {
    const auto json = parse_line(line);
    if (const std::int64_t step = step_of_line(json); step >= 0 && json.contains("kind") && json.at("kind") == "eval")
      evaluated_.insert(step);
  }
  has_final_ = std::filesystem::exists(run_directory + "/final.json");
}

void Records::write_in_order() {
  while (!ahead_.empty() && ahead_.begin()->first == recorded_step_ + 1) {
    if (const std::string& line = ahead_.begin()->second; !line.empty()) metrics_.append(line);
    ahead_.erase(ahead_.begin());
    ++recorded_step_;
  }
}

void Records::event(const Event& event, double time) {
  JsonObject json(", ");
  json.raw("time", fmt::format("{:.6f}", time)).text("kind", event.kind);
  event.worker ? json.text("worker", event.worker->to_string()) : json.raw("worker", "null");
  event.rank >= 0 ? json.integer("rank", event.rank) : json.raw("rank", "null");
  json.text("ballot", event.ballot.to_string()).integer("step", event.step).text("detail", event.detail);
  events_to_write_.push_back(json.line());
  write_events();
}

void Records::write_events() {
  for (; !events_to_write_.empty(); events_to_write_.pop_front()) events_.append(events_to_write_.front());
}

void Records::retry() {
  write_events();
  write_in_order();
}

bool Records::step(const cluster::StepReport& report, const Ballot& ballot) {
  if (report.step <= recorded_step_ || ahead_.contains(report.step)) return false;
  JsonObject json(", ");
  json.integer("step", report.step)
      .exact("loss", report.loss)
      .text("loss_bits", fmt::format("{:08x}", report.loss_bits))
      .number("lr", report.lr)
      .number("grad_norm", report.grad_norm)
      .integer("samples", report.samples);
  if (report.tokens >= 0) json.integer("tokens", report.tokens);
  json.number("step_ms", report.step_ms)
      .number("compute_ms", report.compute_ms)
      .number("comm_ms", report.comm_ms)
      .integer("world", report.world)
      .text("ballot", (report.ballot != Ballot{} ? report.ballot : ballot).to_string());
  if (!report.shard_ranks.empty())
    json.raw("shards", fmt::format("[\"{}\"]", fmt::join(shard_lists(report.shard_ranks, report.world), "\", \"")));
  ahead_.emplace(report.step, json.line());
  write_in_order();
  return true;
}

void Records::final(const cluster::FinalReport& report, std::optional<std::int64_t> peak_rss_bytes) {
  for (; !ahead_.empty(); ahead_.erase(ahead_.begin())) {
    if (const std::string& line = ahead_.begin()->second; !line.empty()) metrics_.append(line);
  }
  write_events();
  metrics_.sync();
  events_.sync();
  JsonObject json(",\n  ");
  json.integer("steps", report.steps)
      .exact("final_loss", report.final_loss)
      .text("parameters_hash", report.parameters_hash)
      .text("state_hash", report.state_hash)
      .exact("eval_loss", report.eval_loss);
  if (report.eval_accuracy) json.number("eval_accuracy", *report.eval_accuracy);
  json.number("samples_per_s", report.samples_per_s);
  if (report.tokens_per_s) json.number("tokens_per_s", *report.tokens_per_s);
  json.number("wall_s", report.wall_s).number("start_to_first_step_s", report.start_to_first_step_s);
  peak_rss_bytes ? json.integer("peak_rss_bytes", *peak_rss_bytes) : json.raw("peak_rss_bytes", "null");
  json.integer("world", report.world);
  write_durably(run_directory_ + "/final.json", fmt::format("{{\n  {}\n}}\n", json.fields()));
  has_final_ = true;
}

}  // namespace convoy::scheduler
