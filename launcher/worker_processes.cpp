#include "launcher/worker_processes.h"

#include <algorithm>
#include <utility>

#include "cluster/place.h"
#include "core/base/error.h"
#include "core/base/exit_code.h"

namespace convoy::launcher {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// A worker that ends by itself before the first step (one that joins: soon after its start) will hardly get further at
// the next try.
constexpr int kMostVain = 3;

bool died(const ExitStatus& status) {
  return status.signal != 0 || (status.exit_code != 0 && status.exit_code != 2 && status.exit_code != kExitStopped);
}

std::string in_seconds(milliseconds wait) {
  return fmt::format(" in {:g} s", std::chrono::duration<double>(wait).count());
}

}  // namespace

bool is_stop_signal(int signal) { return std::ranges::find(kStopSignals, signal) != kStopSignals.end(); }

WorkerProcesses::WorkerProcesses(WorkerProcessesOptions options, Voice voice)
    : options_(std::move(options)), voice_(std::move(voice)) {}

std::string WorkerProcesses::name(const Slot& slot) const {
  return fmt::format("{} {}", options_.join ? "joined worker" : "worker", slot.rank);
}

void WorkerProcesses::start(const cluster::Credentials& scheduler) {
  const auto told = [&](const char* name, const std::string& value) {
    told_.push_back(std::string(name) + '=' + value);
  };
  told(cluster::kWorldVariable, std::to_string(options_.count));
  told(cluster::kLocalWorldVariable, std::to_string(options_.count));
  told(cluster::kSchedulerVariable, scheduler.address);
  told(cluster::kSchedulerKeyVariable, scheduler.public_key);
  told(cluster::kTokenVariable, scheduler.token);
  told(cluster::kLifelineVariable, std::to_string(options_.lifeline));
  if (options_.open) told(cluster::kOpenVariable, "1");
  if (!options_.run_directory.empty()) told(cluster::kRunVariable, options_.run_directory);
  slots_.reserve(static_cast<std::size_t>(options_.count));
  for (int rank = 0; rank < options_.count; ++rank) {
    slots_.push_back({.rank = rank, .restarts = Restarts(options_.restarts)});
    start(slots_.back());
  }
}

void WorkerProcesses::start(Slot& slot) {
  SpawnOptions spawn{.program = options_.program,
                     .arguments = options_.arguments,
                     .environment = options_.environment,
                     .inherited = {options_.lifeline}};
  spawn.environment.insert(spawn.environment.end(), told_.begin(), told_.end());
  spawn.environment.push_back(fmt::format("{}={}", cluster::kRankVariable, options_.join ? -1 : slot.rank));
  spawn.environment.push_back(fmt::format("{}={}", cluster::kLocalRankVariable, slot.rank));
  if (slot.processes > 0) spawn.environment.push_back(fmt::format("{}={}", cluster::kReplacesVariable, slot.processes));
  const std::string label = fmt::format("{}{}", options_.join ? "+" : "", slot.rank);
  slot.child.emplace(spawn, [this, label](Stream stream, std::string_view line) { voice_.line(label, stream, line); });
  slot.pid = slot.child->process().pid();
  slot.started = Clock::now();
  ++slot.processes;
  slot.exclusion.clear();
}

bool WorkerProcesses::running() const {
  return std::ranges::any_of(slots_, [](const Slot& slot) { return slot.running(); });
}

bool WorkerProcesses::expected() const {
  return std::ranges::any_of(slots_, [](const Slot& slot) { return slot.running() || slot.start_at; });
}

std::vector<int> WorkerProcesses::running_ranks() const {
  std::vector<int> ranks;
  for (const Slot& slot : slots_) {
    if (slot.running()) ranks.push_back(slot.rank);
  }
  return ranks;
}

void WorkerProcesses::watch(std::vector<pollfd>& watched, bool only_end) const {
  for (const Slot& slot : slots_) {
    if (slot.running()) slot.child->watch(watched, only_end);
  }
}

void WorkerProcesses::forward() {
  for (Slot& slot : slots_) {
    if (slot.running()) slot.child->forward();
  }
}

void WorkerProcesses::reap(Time now, std::int64_t step) {
  for (Slot& slot : slots_) {
    if (!slot.running()) continue;
    if (const auto status = slot.child->try_reap()) note_end(slot, *status, now, step);
  }
}

void WorkerProcesses::note_end(Slot& slot, const ExitStatus& status, Time now, std::int64_t step) {
  slot.status = status;
  misused_ = misused_ || status.exit_code == 2;
  if (status.success()) cease(false);  // nobody leaves so before the run is complete
  if (!died(status) && status.exit_code != 2)
    left_with_ = std::min(left_with_.value_or(kExitStopped), status.exit_code);
  cluster::WorkerEnded ended{
      .rank = options_.join ? -1 : slot.rank, .pid = slot.pid, .exit_code = status.exit_code, .signal = status.signal};
  if (mode_ == Mode::kReplace && slot.exclusion.empty() && is_stop_signal(status.signal)) {
    stop_signal_ = status.signal;
  } else if (died(status) && mode_ != Mode::kEnd) {
    const bool exited = status.signal == 0;
    const bool vain = exited && (step == 0 || (options_.join && now - slot.started < options_.restarts.young));
    slot.vain = vain ? slot.vain + 1 : 0;
    slot.line = fmt::format(
        "{} (pid {}) {} at step {}", name(slot), slot.pid,
        slot.exclusion.empty() ? describe_exit(status) : fmt::format("was excluded ({}) and killed", slot.exclusion),
        step + 1);
    slot.outlook.clear();
    slot.say_at = exited ? now + options_.after_exit : now;
    if (mode_ == Mode::kReplace) ended.replaced = plan_next(slot, now);
  }
  ended_.push_back(ended);
  news_.push_back(ended);
}

bool WorkerProcesses::plan_next(Slot& slot, Time now) {
  if (slot.vain >= kMostVain) {
    slot.outlook = "; so did those before it, there will be no other";
    return false;
  }
  const auto wait = slot.restarts.after_death(slot.started, now);
  if (!wait) {
    slot.outlook = "; no restarts are left";
    return false;
  }
  slot.start_at = std::max(now + *wait, *slot.say_at);
  slot.outlook = "; a new one takes its place";
  if (*wait > milliseconds(0)) slot.outlook += in_seconds(*wait);
  return true;
}

void WorkerProcesses::start_due(Time now) {
  for (Slot& slot : slots_) {
    if (slot.say_at && now >= *slot.say_at) {
      slot.say_at.reset();
      voice_.own(slot.line + slot.outlook);
    }
    if (!slot.start_at || now < *slot.start_at) continue;
    slot.start_at.reset();
    try {
      start(slot);
    } catch (const Error& error) {
      const auto wait = slot.restarts.after_death(now, now);
      if (wait) slot.start_at = now + std::max(*wait, options_.restarts.first_wait);
      voice_.own(fmt::format(
          "{}: {}; {}", name(slot), error.what(),
          wait ? "tried again" + in_seconds(std::max(*wait, options_.restarts.first_wait)) : "no restarts are left"));
      if (!wait) take_back_replacement(slot.pid);
    }
  }
}

cluster::WorkerEnded* WorkerProcesses::find_ended(pid_t pid) {
  const auto last = std::find_if(ended_.rbegin(), ended_.rend(), [&](const auto& ended) { return ended.pid == pid; });
  return last == ended_.rend() ? nullptr : &*last;
}

void WorkerProcesses::take_back_replacement(pid_t pid) {
  cluster::WorkerEnded* const ended = find_ended(pid);
  if (ended == nullptr || !std::exchange(ended->replaced, false)) return;
  news_.push_back(*ended);
}

std::optional<WorkerProcesses::Time> WorkerProcesses::due() const {
  std::optional<Time> first;
  for (const Slot& slot : slots_) {
    for (const auto& at : {slot.start_at, slot.say_at}) {
      if (at && (!first || *at < *first)) first = at;
    }
  }
  return first;
}

void WorkerProcesses::exclude(const cluster::Exclude& order) {
  for (Slot& slot : slots_) {
    if (!slot.running() || slot.pid != order.pid) continue;
    slot.exclusion = order.reason.empty() ? "by the scheduler" : order.reason;
    slot.child->process().kill_group();
    return;
  }
  if (const cluster::WorkerEnded* const ended = find_ended(order.pid)) news_.push_back(*ended);
}

void WorkerProcesses::cease(bool quietly) {
  mode_ = std::max(mode_, quietly ? Mode::kEnd : Mode::kLeave);
  for (Slot& slot : slots_) {
    if (quietly) slot.say_at.reset();
    if (!slot.start_at) continue;
    slot.start_at.reset();
    slot.outlook.clear();
    take_back_replacement(slot.pid);
  }
}

void WorkerProcesses::kill_newcomers(Time now) noexcept {
  for (Slot& slot : slots_) {
    if (slot.running() && slot.processes > 1 && now - slot.started < options_.restarts.young)
      slot.child->process().kill_group();
  }
}

void WorkerProcesses::terminate() noexcept {
  for (Slot& slot : slots_) {
    if (slot.running()) slot.child->process().terminate();
  }
}

void WorkerProcesses::kill() noexcept {
  for (Slot& slot : slots_) {
    if (slot.running()) slot.child->process().kill_group();
  }
}

std::vector<cluster::WorkerEnded> WorkerProcesses::take_news() { return std::exchange(news_, {}); }

std::vector<cluster::WorkerEnded> WorkerProcesses::history() {
  news_.clear();
  return ended_;
}

std::optional<int> WorkerProcesses::agreed_exit() const { return expected() ? std::nullopt : left_with_; }

}  // namespace convoy::launcher
