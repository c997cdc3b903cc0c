// The workers of a node as processes: one a slot, and the next one in its place when it dies while the run goes on.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cluster/link.h"
#include "cluster/messages.h"
#include "launcher/forwarded_process.h"
#include "launcher/restarts.h"

namespace convoy::launcher {

// Whether a signal asks a run to stop (core/base/signals.h).
bool is_stop_signal(int signal);

struct WorkerProcessesOptions {
  std::string program;
  std::vector<std::string> arguments;
  std::vector<std::string> environment;  // beside what they are told
  std::string run_directory;             // told to them; empty: they know
  int count = 1;
  bool join = false;  // a run under way, whose scheduler numbers them; else they are numbered from 0
  bool open = false;  // workers of other hosts may take part
  int lifeline = -1;  // that they inherit (launcher/lifeline.h)
  RestartRules restarts{};
  // Who exits by itself has told the scheduler why: so long its word, which may end the run, is waited for.
  std::chrono::milliseconds after_exit{250};
};

class WorkerProcesses {
 public:
  using Time = std::chrono::steady_clock::time_point;
  struct Voice {
    std::function<void(const std::string& label, Stream, std::string_view line)> line;  // of a worker
    std::function<void(const std::string&)> own;                                        // about one
  };

  WorkerProcesses(WorkerProcessesOptions options, Voice voice);
  WorkerProcesses(const WorkerProcesses&) = delete;
  WorkerProcesses& operator=(const WorkerProcesses&) = delete;

  // From a thread that lives as long as the launcher. Throws Error(kUnavailable).
  void start(const cluster::Credentials& scheduler);
  bool started() const { return !slots_.empty(); }

  bool running() const;
  // Whether any is running or going to be started.
  bool expected() const;
  std::vector<int> running_ranks() const;
  void watch(std::vector<pollfd>& watched, bool only_end) const;
  void forward();

  // Reaps who has ended; `step` is where the run is. Whoever died is replaced, as long as the run goes on.
  void reap(Time now, std::int64_t step);
  // Starts who is to be started.
  void start_due(Time now);
  std::optional<Time> due() const;  // when that will have something to do

  // The scheduler wants it dead: it is killed, or its end is told again if that is past.
  void exclude(const cluster::Exclude& order);
  // The run ends: nobody is replaced any more, nor started who was to be. `quietly`: they are made to end, and how they
  // do means nothing.
  void cease(bool quietly);
  // The run is complete: who has just taken somebody's place has come too late.
  void kill_newcomers(Time now) noexcept;
  void terminate() noexcept;
  void kill() noexcept;

  // What the scheduler has to be told since the last call.
  std::vector<cluster::WorkerEnded> take_news();
  // What a scheduler that knows nothing has to be told: everything since the start.
  std::vector<cluster::WorkerEnded> history();

  // The signal that ended one of them and asks a run to stop (core/base/signals.h), if that has come about since the
  // last call and it was not this launcher's.
  std::optional<int> take_signal() { return std::exchange(stop_signal_, std::nullopt); }

  // Whether one of them was used in a wrong way (exit code 2).
  bool misused() const { return misused_; }
  // What those who left in order say of the run, once none is running or will be: 0, it is complete, or 75.
  std::optional<int> agreed_exit() const;

 private:
  enum class Mode { kReplace, kLeave, kEnd };
  struct Slot {
    int rank;
    Restarts restarts;
    std::optional<ForwardedProcess> child{};
    int processes = 0;  // so far
    pid_t pid = -1;     // of the last process: messages name it when it is gone
    Time started{};
    ExitStatus status{};
    std::string exclusion{};         // why it is to die
    int vain = 0;                    // exits in a row before the run made a step
    std::optional<Time> start_at{};  // the next one
    std::string line{};              // about the last one's end,
    std::string outlook{};           // and what comes of it:
    std::optional<Time> say_at{};    // not said yet
    bool running() const { return child && child->running(); }
  };

  void start(Slot& slot);
  void note_end(Slot& slot, const ExitStatus& status, Time now, std::int64_t step);
  bool plan_next(Slot& slot, Time now);
  void take_back_replacement(pid_t pid);
  cluster::WorkerEnded* find_ended(pid_t pid);
  std::string name(const Slot& slot) const;

  const WorkerProcessesOptions options_;
  const Voice voice_;
  std::vector<std::string> told_;  // "NAME=value": what all are told
  std::vector<Slot> slots_;
  std::vector<cluster::WorkerEnded> ended_;  // in the order of their ends
  std::vector<cluster::WorkerEnded> news_;
  Mode mode_ = Mode::kReplace;
  bool misused_ = false;
  std::optional<int> left_with_;  // 0 or 75
  std::optional<int> stop_signal_;
};

}  // namespace convoy::launcher
