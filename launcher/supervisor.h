// Starts a run's processes on this machine, watches them, starts them again and ends them: the agent of one node.
//
// One thread and one poll loop over children, their output, the link to the scheduler, signals and deadlines. Workers
// and the scheduler are replaced when they die. The scheduler decides how a run ends and words why; where it cannot,
// because it is gone for good or silent, the launcher does.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cluster/link.h"
#include "launcher/output.h"
#include "launcher/restarts.h"
#include "launcher/scheduler_child.h"

namespace convoy::launcher {

// How long each party may take before the launcher goes on without it.
struct LaunchLimits {
  std::chrono::milliseconds scheduler_start{20'000};    // from its start to its listening
  std::chrono::milliseconds scheduler_silence{10'000};  // after which it is killed; it writes several times a second
  std::chrono::milliseconds scheduler_answer{2'000};    // from a user's signal to its verdict
  // Of silence, once no worker is here or will come: it may wait for others, or for what others do.
  std::chrono::milliseconds scheduler_verdict{120'000};
  std::chrono::milliseconds scheduler_back{90'000};  // until another launcher has replaced one that died
  std::chrono::milliseconds finish{10'000};          // from a verdict of success, or a user's signal, to the end
  std::chrono::milliseconds terminate{1'000};        // from SIGTERM to SIGKILL after a failure
  std::chrono::milliseconds alone{90'000};           // for workers to save the state without any scheduler
};

struct LaunchOptions {
  std::string program;         // the executable of the scheduler
  std::string worker_program;  // of the workers; empty: the same
  int workers = 1;
  std::string listen = "tcp://127.0.0.1:0";                                            // of the scheduler
  std::function<std::vector<std::string>(const SchedulerStart&)> scheduler_arguments;  // {"scheduler", "--run", …}
  std::vector<std::string> worker_arguments;                                           // {"train", "gpt.toml", …}
  std::vector<std::string> environment;  // "NAME=value": what children inherit beside what they are told
  // Told to workers, and where others find the scheduler (launcher/scheduler_file.h); empty: workers know, nobody else.
  std::string run_directory;
  // The run under way that the workers join, which has a scheduler.
  std::optional<cluster::Credentials> join{};
  bool open = false;               // workers of other hosts may take part
  RestartRules worker_restarts{};  // of each
  // Its workers do not wait for a scheduler for longer than half a minute (worker/trainer.cpp).
  RestartRules scheduler_restarts{.longest_wait = std::chrono::seconds(5)};
  LaunchLimits limits{};
};

// Runs to the end and returns the exit code of the run; no child is left then. Call it from the main thread, before
// others are started. Throws Error(kUnavailable) when a process cannot be started at all.
int launch(const LaunchOptions& options, Output& output);

}  // namespace convoy::launcher
