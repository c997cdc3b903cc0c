#include "scheduler/run_view_metrics.h"

#include <fmt/format.h>

#include <cmath>
#include <initializer_list>
#include <string_view>
#include <utility>

#include "core/base/utf8.h"

namespace convoy::scheduler {

namespace {

// A label's value: UTF-8, with backslash, quote and line feed escaped.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : printable_utf8(text)) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

std::string value_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

class MetricsText {
 public:
  void family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    text_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
  }
  // Of the family; `suffix`: "_sum" and the like.
  void sample(double value, Labels labels = {}, std::string_view suffix = "") {
    text_ += name_;
    text_ += suffix;
    char separator = '{';
    for (const auto& [label, label_value] : labels) {
      text_ += fmt::format("{}{}=\"{}\"", separator, label, escaped(label_value));
      separator = ',';
    }
    if (labels.size() > 0) text_ += '}';
    text_ += fmt::format(" {}\n", value_text(value));
  }
  void single(std::string_view name, std::string_view type, std::string_view help, double value) {
    family(name, type, help);
    sample(value);
  }
  std::string take() { return std::move(text_); }

 private:
  std::string name_;
  std::string text_;
};

double number(std::int64_t value) { return static_cast<double>(value); }

void add_workers(const RunView& view, MetricsText& out) {
  const auto each = [&](auto value) {
    for (const WorkerView& worker : view.workers) {
      const std::string uuid = worker.uuid.to_string();
      const std::string rank = worker.rank >= 0 ? fmt::format("{}", worker.rank) : "";
      if (const std::optional<double> known = value(worker))
        out.sample(*known, {{"worker", uuid}, {"rank", rank}, {"host", worker.host}});
    }
  };
  out.family("convoy_worker_step", "gauge", "Step that the worker is in, from 1.");
  each([](const WorkerView& worker) { return std::optional(number(worker.step)); });
  out.family("convoy_worker_heartbeat_age_seconds", "gauge", "Time since the worker was last heard of.");
  each([](const WorkerView& worker) { return worker.heartbeat_age_s; });
}

}  // namespace

std::string to_metrics(const RunView& view) {
  MetricsText out;
  out.family("convoy_info", "gauge", "Which run this is; always 1.");
  out.sample(1, {{"run", view.run_directory}, {"recipe", view.recipe}, {"scheduler", view.scheduler.to_string()}});
  out.family("convoy_state", "gauge", "1 for the state that the run is in, 0 for the others.");
  for (const RunState state : {RunState::kGathering, RunState::kSealing, RunState::kRunning, RunState::kWaiting,
                               RunState::kFinishing, RunState::kFinished, RunState::kStopped})
    out.sample(state == view.state ? 1 : 0, {{"state", state_name(state)}});
  out.single("convoy_step", "gauge", "Last committed step, from 1.", number(view.step));
  out.single("convoy_steps", "gauge", "Steps of the whole run.", number(view.steps));
  if (view.step > 0) out.single("convoy_loss", "gauge", "Training loss of the last committed step.", view.loss);
  out.single("convoy_workers", "gauge", "Workers that are in the run.", static_cast<double>(view.workers.size()));
  out.single("convoy_samples_per_second", "gauge", "Samples per second of step time, of the last steps.",
             view.samples_per_s);
  if (view.rate_unit == "tokens/s")
    out.single("convoy_tokens_per_second", "gauge", "Tokens per second of step time, of the last seconds.", view.rate);
  out.single("convoy_remaining_seconds", "gauge", "Time that the steps left will take at the present speed.",
             view.seconds_left);
  out.family("convoy_step_seconds", "summary",
             "Time of a step: quantiles of the last 100, sum and count since the scheduler was started.");
  if (view.step_time) {
    out.sample(view.step_time->median_ms / 1e3, {{"quantile", "0.5"}});
    out.sample(view.step_time->p99_ms / 1e3, {{"quantile", "0.99"}});
  }
  out.sample(view.steps_done_s, {}, "_sum");
  out.sample(number(view.steps_done), {}, "_count");
  out.single("convoy_epoch_term", "gauge", "Term of the membership: starts of the run's scheduler.",
             static_cast<double>(view.ballot.term));
  out.single("convoy_epoch_attempt", "gauge", "Attempt of the membership within its term.",
             static_cast<double>(view.ballot.attempt));
  out.single("convoy_worker_joined_total", "counter", "Workers that came to the run.", number(view.workers_joined));
  out.single("convoy_worker_lost_total", "counter", "Workers that the run lost.", number(view.workers_lost));
  out.single("convoy_scheduler_restarts_total", "counter",
             "Schedulers that were started in the place of one that died.", number(view.scheduler_restarts));
  if (view.checkpoint) {
    out.single("convoy_checkpoint_step", "gauge", "Step of the last checkpoint.", number(view.checkpoint->step));
    out.single("convoy_checkpoint_timestamp_seconds", "gauge", "When the last checkpoint was complete.",
               view.checkpoint->time_s);
  }
  if (view.started_s > 0.0)
    out.single("convoy_start_time_seconds", "gauge", "When the run was started.", view.started_s);
  add_workers(view, out);
  return out.take();
}

}  // namespace convoy::scheduler
