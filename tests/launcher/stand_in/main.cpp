#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "launcher/join.h"
#include "launcher/output.h"
#include "launcher/supervisor.h"
#include "tests/launcher/stand_in/stand_in.h"

extern char** environ;

namespace convoy::stand_in {

using std::chrono::milliseconds;

bool Arguments::has(std::string_view word) const { return std::ranges::find(words, word) != words.end(); }

std::optional<std::string> Arguments::value(const std::string& name) const {
  const std::string begin = "--" + name + '=';
  for (const std::string& word : words) {
    if (word.starts_with(begin)) return word.substr(begin.size());
  }
  return std::nullopt;
}

int Arguments::number(const std::string& name, int otherwise) const {
  const auto text = value(name);
  return text ? std::stoi(*text) : otherwise;
}

std::optional<std::string> variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value ? std::optional<std::string>(value) : std::nullopt;
}

int number_in(const char* name) { return std::stoi(variable(name).value()); }

int run_launcher(const Arguments& arguments) {
  launcher::Output output(STDOUT_FILENO, STDERR_FILENO);
  launcher::LaunchOptions options;
  options.program = "/proc/self/exe";
  options.workers = arguments.number("workers", 2);
  options.run_directory = arguments.value("run").value_or("");
  options.scheduler_arguments = [words = arguments.words](const launcher::SchedulerStart& start) {
    std::vector<std::string> told{"scheduler", "--listen=" + start.listen};
    if (start.restarted) told.emplace_back("--restarted");
    told.insert(told.end(), words.begin(), words.end());
    return told;
  };
  options.worker_arguments = {"train"};
  options.worker_arguments.insert(options.worker_arguments.end(), arguments.words.begin(), arguments.words.end());
  options.worker_restarts.most = arguments.number("max-restarts", 10);
  options.worker_restarts.first_wait = milliseconds(arguments.number("first-wait", 100));
  options.scheduler_restarts.most = arguments.number("scheduler-restarts", 10);
  options.scheduler_restarts.first_wait = milliseconds(arguments.number("scheduler-first-wait", 100));
  options.limits.scheduler_start = milliseconds(1500);
  options.limits.scheduler_verdict = milliseconds(1500);
  options.limits.scheduler_back = milliseconds(3000);
  options.limits.finish = milliseconds(2000);
  options.limits.alone = milliseconds(2000);
  for (char** entry = environ; *entry; ++entry) options.environment.emplace_back(*entry);
  if (const auto run = arguments.value("join"))
    options.join = launcher::find_run(*run, std::nullopt, variable).scheduler;
  return launcher::launch(options, output);
}

namespace {

// What it was given.
int print(const char* word) {
  printf("%s\n", word);
  for (char** entry = environ; *entry; ++entry) printf("%s\n", *entry);
  for (int fd = 0; fd < 256; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) printf("fd %d\n", fd);
  }
  fprintf(stderr, "an error line\n");
  return 7;
}

[[noreturn]] void stay() {
  for (;;) pause();
}

int leave_child() {
  const pid_t child = fork();
  if (child == 0) stay();
  printf("%d\n", child);
  return 0;
}

}  // namespace
}  // namespace convoy::stand_in

int main(int argc, char** argv) {
  using namespace convoy::stand_in;
  const std::string command = argc > 1 ? argv[1] : "";
  const Arguments arguments{.words = {argv + std::min(argc, 2), argv + argc}};
  try {
    if (command == "launch") return run_launcher(arguments);
    if (command == "scheduler") return run_scheduler(arguments, 2);
    if (command == "train") return run_worker(arguments);
    if (command == "print") return print(argc > 2 ? argv[2] : "");
    if (command == "leave-child") return leave_child();
    if (command == "stay") stay();
  } catch (const std::exception& error) {
    fprintf(stderr, "convoy: %s\n", error.what());
    return 1;
  }
  return 64;
}
