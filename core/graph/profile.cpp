#include "core/graph/profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/base/quantity.h"

namespace convoy {
namespace {

constexpr std::size_t kWrittenAtOnce = 64 << 10;  // bytes

double seconds_between(CallTimer::Clock::time_point begin, CallTimer::Clock::time_point end) {
  return std::chrono::duration<double>(end - begin).count();
}

}  // namespace

std::vector<CallInfo> call_infos(const Graph& graph, std::span<const NodeId> calls) {
  std::vector<CallInfo> infos;
  infos.reserve(calls.size());
  for (const NodeId id : calls) {
    if (id < 0) {
      infos.push_back({.name = "copy", .phase = "", .cost = {}});
      continue;
    }
    const Node& node = graph.node(id);
    const Spec& spec = graph.value(node.outputs[0]).spec;
    // What a product computes with is told by its operands: its result may be wider.
    const DType dtype = node.inputs.empty() ? spec.dtype : graph.value(node.inputs[0]).spec.dtype;
    infos.push_back({.name = fmt::format("{}: {}", describe(*node.op), spec.to_string()),
                     .phase = std::string(name_of(node.phase)),
                     .cost = cost_of(graph, node),
                     .dtype = dtype});
  }
  return infos;
}

Profile::Profile(const Roofline& roofline, const std::string& path, std::int32_t process)
    : roofline_(roofline), file_(path, 0644), process_(process) {
  const nlohmann::json title{
      {"ph", "M"}, {"name", "process_name"}, {"pid", process}, {"args", {{"name", fmt::format("worker {}", process)}}}};
  file_.write(fmt::format("{{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n{}", title.dump()));
}

void Profile::Plan::ran(std::size_t call, Clock::time_point begin, Clock::time_point end) {
  seconds[call] += seconds_between(begin, end);
  ++replays[call];
  profile->spans_.push_back(
      {.plan = static_cast<std::int32_t>(number), .call = static_cast<std::int32_t>(call), .begin = begin, .end = end});
}

void Profile::Plan::gave(std::size_t call, Clock::time_point begin, Clock::time_point end) {
  given_seconds += seconds_between(begin, end);
  profile->spans_.push_back({.plan = static_cast<std::int32_t>(number),
                             .call = static_cast<std::int32_t>(call),
                             .begin = begin,
                             .end = end,
                             .gives = true});
}

CallTimer& Profile::add_plan(std::string name, std::vector<CallInfo> calls) {
  auto plan = std::make_unique<Plan>();
  plan->name = std::move(name);
  plan->seconds.resize(calls.size());
  plan->replays.resize(calls.size());
  plan->calls = std::move(calls);
  plan->number = plans_.size();
  plan->profile = this;
  return *plans_.emplace_back(std::move(plan));
}

void Profile::add_span(std::string name, Clock::time_point begin, Clock::time_point end) {
  auto found = std::find(names_.begin(), names_.end(), name);
  if (found == names_.end()) found = names_.insert(names_.end(), std::move(name));
  spans_.push_back({.plan = -1, .call = static_cast<std::int32_t>(found - names_.begin()), .begin = begin, .end = end});
}

void Profile::begin_step(std::int64_t step) {
  step_ = step;
  ++steps_;
}

std::string Profile::event_of(const Span& span) const {
  const double seconds = seconds_between(span.begin, span.end);
  nlohmann::json event{{"ph", "X"},
                       {"pid", process_},
                       {"tid", 0},
                       {"ts", 1e6 * seconds_between(*start_, span.begin)},
                       {"dur", 1e6 * seconds},
                       {"args", {{"step", step_}}}};
  if (span.plan < 0) {
    event["name"] = names_[static_cast<std::size_t>(span.call)];
    event["cat"] = "worker";
    return event.dump();
  }
  const Plan& plan = *plans_[static_cast<std::size_t>(span.plan)];
  const CallInfo& call = plan.calls[static_cast<std::size_t>(span.call)];
  nlohmann::json& args = event["args"];
  if (span.gives) {
    event["name"] = "hand over";
    event["cat"] = plan.name + ",communication";
    args["of"] = call.name;
    return event.dump();
  }
  event["name"] = call.name.substr(0, call.name.find('('));
  event["cat"] = plan.name + "," + call.phase;
  args["call"] = call.name;
  args["flops"] = call.cost.flops;
  args["bytes"] = call.cost.bytes;
  if (seconds > 0.0) {
    args["flop/s"] = call.cost.flops / seconds;
    args["byte/s"] = call.cost.bytes / seconds;
    args["of roofline"] = least_seconds(roofline_, call.cost, call.dtype) / seconds;
  }
  return event.dump();
}

void Profile::end_step() {
  if (!start_ && !spans_.empty()) start_ = spans_.front().begin;
  std::string text;
  for (const Span& span : spans_) {
    text += ",\n" + event_of(span);
    if (text.size() < kWrittenAtOnce) continue;
    file_.write(text);
    text.clear();
  }
  file_.write(text);
  spans_.clear();
}

void Profile::finish() {
  file_.write("\n]}\n");
  file_.commit();
}

std::string Profile::worst_calls(std::size_t count) const {
  struct Row {
    const Plan* plan;
    std::size_t call;
    double replays;
    double least;  // seconds of all replays
    double loss() const { return plan->seconds[call] - least; }
  };
  std::vector<Row> rows;
  double total = 0.0, given = 0.0;
  for (const auto& plan : plans_) {
    given += plan->given_seconds;
    for (std::size_t i = 0; i < plan->calls.size(); ++i) {
      const auto times = static_cast<double>(plan->replays[i]);
      const CallInfo& call = plan->calls[i];
      rows.push_back({plan.get(), i, times, times * least_seconds(roofline_, call.cost, call.dtype)});
      total += plan->seconds[i];
    }
  }
  const auto steps = static_cast<double>(std::max<std::int64_t>(1, steps_));
  double least = 0.0;
  for (const Row& row : rows) least += row.least;
  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.loss() > b.loss(); });
  rows.resize(std::min(rows.size(), count));

  std::string text = fmt::format(
      "{} steps, {:.2f} ms a step in plans; at least {:.2f} ms by the roofline ({}, {} with bf16, {}); {:.2f} ms "
      "handing results over\n",
      steps_, 1e3 * total / steps, 1e3 * least / steps, with_prefix(roofline_.f32_flops, "flop/s"),
      with_prefix(roofline_.bf16_flops, "flop/s"), with_prefix(roofline_.bytes, "B/s"), 1e3 * given / steps);
  text += "  ms a step  least ms  lost ms  times       rate    traffic  call\n";
  for (const Row& row : rows) {
    const CallInfo& call = row.plan->calls[row.call];
    const double seconds = std::max(row.plan->seconds[row.call], 1e-12);
    text += fmt::format(
        "  {:9.3f} {:9.3f} {:8.3f} {:6.0f} {:>16} {:>10}  {} {} {}\n", 1e3 * seconds / steps, 1e3 * row.least / steps,
        1e3 * row.loss() / steps, row.replays / steps, with_prefix(row.replays * call.cost.flops / seconds, "flop/s"),
        with_prefix(row.replays * call.cost.bytes / seconds, "B/s"), row.plan->name, call.phase, call.name);
  }
  return text;
}

}  // namespace convoy
