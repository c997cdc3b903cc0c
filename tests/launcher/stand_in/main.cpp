// A program that behaves towards the launcher as `convoy` does, without training anything: scheduler, worker, and the
// launcher itself, so that tests can kill any of them. `--NAME` arguments after the command choose a misbehaviour.
#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "cluster/link.h"
#include "cluster/messages.h"
#include "cluster/place.h"
#include "core/base/error.h"
#include "core/base/signals.h"
#include "launcher/lifeline.h"
#include "launcher/output.h"
#include "launcher/supervisor.h"

extern char** environ;

namespace convoy {
namespace {

using std::chrono::milliseconds;

struct Arguments {
  std::vector<std::string> words;
  bool has(const std::string& word) const { return std::find(words.begin(), words.end(), word) != words.end(); }
};

std::optional<std::string> variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value ? std::optional<std::string>(value) : std::nullopt;
}

int number(const char* name) { return std::stoi(variable(name).value()); }

[[noreturn]] void stay_forever() {
  for (;;) pause();
}

int run_scheduler(const Arguments& arguments, int workers) {
  launcher::watch_lifeline(number(cluster::kLifelineVariable));
  if (arguments.has("--refuse")) {
    dprintf(STDERR_FILENO, "convoy: cannot bind\n");
    return 1;
  }
  if (arguments.has("--mute")) stay_forever();
  cluster::Hub hub("tcp://127.0.0.1:0", variable(cluster::kTokenVariable).value(), Uuid::random());
  const int pipe = number(cluster::kAddressDescriptorVariable);
  dprintf(pipe, "%s\n%s\n", hub.credentials().address.c_str(), hub.credentials().public_key.c_str());
  close(pipe);

  std::map<int, Uuid> members;
  std::vector<Uuid> agents;
  std::int64_t step = 0;
  int left = 0;
  int ended = 0;
  int exit_code = 0;
  const auto tell_all = [&](const cluster::Stop& stop) {
    for (const auto& [rank, uuid] : members) hub.send(uuid, {}, stop);
    for (const Uuid& agent : agents) hub.send(agent, {}, stop);
    exit_code = stop.exit_code;
  };
  while (ended < workers) {
    const auto message = hub.receive(milliseconds(50));
    if (!message) continue;
    if (arguments.has("--deaf") && !std::holds_alternative<cluster::RegisterAgent>(message->body)) continue;
    if (const auto* joined = std::get_if<cluster::Register>(&message->body)) {
      members[joined->rank] = message->sender;
      if (static_cast<int>(members.size()) == workers) {
        for (const auto& [rank, uuid] : members) hub.send(uuid, {}, cluster::Epoch{});
      }
    } else if (std::holds_alternative<cluster::RegisterAgent>(message->body)) {
      agents.push_back(message->sender);
    } else if (const auto* beat = std::get_if<cluster::Heartbeat>(&message->body)) {
      step = std::max(step, beat->step);
      for (const Uuid& agent : agents) {
        hub.send(agent, {},
                 cluster::Progress{.step = step,
                                   .steps = 1000,
                                   .loss = 1.5,
                                   .rate = 10.0,
                                   .rate_unit = "samples/s",
                                   .workers = workers,
                                   .seconds_left = 60.0});
      }
    } else if (const auto* request = std::get_if<cluster::StopRequest>(&message->body)) {
      tell_all({.exit_code = 1, .reason = fmt::format("{} at step {}", request->reason, step)});
    } else if (const auto* leave = std::get_if<cluster::Leave>(&message->body)) {
      if (leave->exit_code != 0 && exit_code == 0) {
        const auto who = std::find_if(members.begin(), members.end(),
                                      [&](const auto& member) { return member.second == message->sender; });
        tell_all({.exit_code = 1, .reason = fmt::format("worker {}: {}", who->first, leave->reason)});
      }
      if (++left == workers && exit_code == 0) tell_all({.exit_code = 0, .reason = ""});
    } else if (const auto* end = std::get_if<cluster::WorkerEnded>(&message->body)) {
      ++ended;
      const ExitStatus status{.exit_code = end->exit_code, .signal = end->signal};
      if (!status.success() && exit_code == 0) {
        tell_all({.exit_code = status.exit_code == 2 && !arguments.has("--no-usage") ? 2 : 1,
                  .reason = fmt::format("worker {} (pid {}) {} at step {}", end->rank, end->pid, describe_exit(status),
                                        step)});
      }
    }
  }
  hub.close(milliseconds(500));
  return exit_code;
}

int run_worker(const Arguments& arguments) {
  launcher::watch_lifeline(number(cluster::kLifelineVariable));
  const cluster::Place place = cluster::find_place(variable);
  SignalReceiver signals({SIGTERM});
  if (arguments.has("--usage")) {
    dprintf(STDERR_FILENO, "convoy: gpt.toml:3: model.kind: expected \"gpt\" or \"mlp\"\n");
    return 2;
  }
  if (arguments.has("--grandchild") && fork() == 0) {
    // As a program that a worker starts through a shell: it knows nothing but the lifeline.
    prctl(PR_SET_PDEATHSIG, 0);
    launcher::watch_lifeline(number(cluster::kLifelineVariable));
    stay_forever();
  }
  printf("hello from %d\n", place.rank);
  fflush(stdout);
  cluster::Link link(*place.scheduler, Uuid::random());
  link.send({}, cluster::Register{
                    .rank = place.rank, .host = "here", .pid = getpid(), .meeting_place = "", .fingerprint = {}});
  std::int64_t step = 0;
  bool started = false;
  const std::int64_t steps = arguments.has("--short") ? 5 : 1000;
  while (step < steps) {
    const auto message = link.receive(milliseconds(20));
    if (message && std::holds_alternative<cluster::Epoch>(message->body)) started = true;
    const bool stubborn = arguments.has("--stubborn");
    if (message && !stubborn && std::holds_alternative<cluster::Stop>(message->body)) return 1;
    if (signals.take() && !stubborn) return 1;
    if (started) link.send({}, cluster::Heartbeat{.step = ++step});
    if (started && arguments.has("--fail") && place.rank == 1) {
      const std::string reason = "samples.bin: is cut short";
      link.send({}, cluster::Leave{.exit_code = 1, .reason = reason, .step = step, .peak_rss_bytes = 0});
      if (arguments.has("--late")) std::this_thread::sleep_for(milliseconds(300));
      dprintf(STDERR_FILENO, "convoy: %s\n", reason.c_str());
      if (!arguments.has("--late")) std::this_thread::sleep_for(milliseconds(100));
      link.close(milliseconds(500));
      return 1;
    }
  }
  link.send({}, cluster::Leave{.exit_code = 0, .reason = "", .step = step, .peak_rss_bytes = 0});
  link.close(milliseconds(500));
  return 0;
}

int run_launcher(const std::vector<std::string>& words) {
  launcher::Output output(STDOUT_FILENO, STDERR_FILENO);
  launcher::LaunchOptions options;
  options.program = "/proc/self/exe";
  options.workers = 2;
  options.scheduler_arguments = {"scheduler"};
  options.worker_arguments = {"train"};
  options.limits.scheduler_start = milliseconds(1500);
  options.limits.finish = milliseconds(2000);
  for (char** entry = environ; *entry; ++entry) options.environment.emplace_back(*entry);
  for (const std::string& word : words) {
    options.scheduler_arguments.push_back(word);
    options.worker_arguments.push_back(word);
  }
  return launcher::launch(options, output);
}

}  // namespace
}  // namespace convoy

int main(int argc, char** argv) {
  const std::string command = argc > 1 ? argv[1] : "";
  const convoy::Arguments arguments{.words = {argv + std::min(argc, 2), argv + argc}};
  try {
    if (command == "launch") return convoy::run_launcher(arguments.words);
    if (command == "scheduler") return convoy::run_scheduler(arguments, 2);
    if (command == "train") return convoy::run_worker(arguments);
    if (command == "print") {  // what it was given
      printf("%s\n", argc > 2 ? argv[2] : "");
      for (char** entry = environ; *entry; ++entry) printf("%s\n", *entry);
      for (int fd = 0; fd < 256; ++fd) {
        if (fcntl(fd, F_GETFD) >= 0) printf("fd %d\n", fd);
      }
      fprintf(stderr, "an error line\n");
      return 7;
    }
    if (command == "leave-child") {
      const pid_t child = fork();
      if (child == 0) convoy::stay_forever();
      printf("%d\n", child);
      return 0;
    }
    if (command == "stay") convoy::stay_forever();
  } catch (const std::exception& error) {
    fprintf(stderr, "convoy: %s\n", error.what());
    return 1;
  }
  return 64;
}
