// Where the time of replayed plans goes: every call's time, what it computes and moves, and how far it stays behind
// the roofline.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/durable_file.h"
#include "core/graph/call_timer.h"
#include "core/graph/graph.h"
#include "core/graph/roofline.h"

namespace convoy {

// What is known of a plan's call before it runs.
struct CallInfo {
  std::string name;   // "matmul(transpose_a=1, …): f32[768, 3072]"
  std::string phase;  // "backward"
  Cost cost;
  DType dtype = DType::kF32;  // that it computes with
};

// Of a plan's calls, which run these nodes of the graph (Plan::calls()).
std::vector<CallInfo> call_infos(const Graph& graph, std::span<const NodeId> calls);

class Profile {
 public:
  // Writes the trace to `path` while it is made, in Chrome's trace event format, which chrome://tracing and
  // https://ui.perfetto.dev open; `process` is the worker's rank. Each call has its flop/s, byte/s and share of the
  // roofline. Nothing stands at `path` before finish(). Throws Error(kUnavailable) naming the file, as end_step() and
  // finish() do.
  Profile(const Roofline& roofline, const std::string& path, std::int32_t process);

  // Declares a plan ("gradient") and returns the timer to run it with, which is good while this lives.
  CallTimer& add_plan(std::string name, std::vector<CallInfo> calls);
  // Work outside plans, such as waiting for peers.
  void add_span(std::string name, CallTimer::Clock::time_point begin, CallTimer::Clock::time_point end);
  // What comes now belongs to `step`.
  void begin_step(std::int64_t step);
  // Writes the step's events down, so that a profile's memory does not grow with its steps.
  void end_step();
  // The trace is whole. Once.
  void finish();

  // A table of the `count` calls that lose most time a step against the roofline.
  std::string worst_calls(std::size_t count) const;

 private:
  using Clock = CallTimer::Clock;
  struct Plan final : CallTimer {
    std::string name;
    std::vector<CallInfo> calls;
    std::vector<double> seconds;        // by call, over all replays
    std::vector<std::int64_t> replays;  // by call
    double given_seconds = 0.0;         // that handing out results took
    std::size_t number = 0;             // in plans_
    Profile* profile = nullptr;
    void ran(std::size_t call, Clock::time_point begin, Clock::time_point end) override;
    void gave(std::size_t call, Clock::time_point begin, Clock::time_point end) override;
  };
  struct Span {
    std::int32_t plan;  // -1: outside plans, `call` counts names_
    std::int32_t call;
    Clock::time_point begin, end;
    bool gives = false;  // the call's results out
  };

  std::string event_of(const Span& span) const;

  Roofline roofline_;
  DurableFile file_;
  std::int32_t process_;
  std::vector<std::unique_ptr<Plan>> plans_;
  std::vector<std::string> names_;          // of spans outside plans
  std::vector<Span> spans_;                 // of the step under way
  std::optional<Clock::time_point> start_;  // of the first event: the trace's zero
  std::int64_t step_ = 0;
  std::int64_t steps_ = 0;
};

}  // namespace convoy
