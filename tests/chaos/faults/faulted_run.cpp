#include "tests/chaos/faults/faulted_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/base/error.h"
#include "library/audit.h"
#include "tests/support/small_data.h"

namespace convoy::chaos {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using std::chrono::milliseconds;

// Several buckets, several milliseconds a step, and every limit as short as it may be.
constexpr char kRecipe[] = R"([model]
kind = "gpt"
layers = 2
heads = 2
width = 64
[data]
kind = "text"
path = "text.txt"
context = 32
[optimizer]
kind = "adamw"
lr = 1e-3
[train]
steps = {}
global_batch = 16
logical_shards = 8
eval_every = {}
[sync]
bucket_mib = 0.1
[checkpoint]
every = {}
[fault]
heartbeat = 0.1
suspect = 0.5
hang = 1.0
)";

std::string read_all(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();  // throws nothing where a process of /proc ends meanwhile
  return text.str();
}

std::set<std::string> shared_memory() {
  std::set<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/dev/shm", error)) {
    const std::string name = entry.path().filename().string();
    if (name.find("convoy") != std::string::npos) names.insert(name);
  }
  return names;
}

// Paths below `folder` as the folder sees them, without those of the folders named.
std::set<std::string> files_below(const fs::path& folder, const std::set<std::string>& but) {
  std::set<std::string> files;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const fs::path path = entry->path().lexically_relative(folder);
    if (but.contains(path.begin()->string())) {
      entry.disable_recursion_pending();
      continue;
    }
    if (!entry->is_directory(error)) files.insert(path.string());
  }
  return files;
}

// 'T' in the third word of /proc/PID/stat, behind the name in brackets.
bool is_stopped(pid_t process) {
  const std::string stat = read_all(fmt::format("/proc/{}/stat", process));
  const std::size_t name_end = stat.rfind(") ");
  return name_end != std::string::npos && stat.compare(name_end + 2, 1, "T") == 0;
}

std::string tail(const std::string& text, std::size_t lines) {
  std::size_t at = text.size();
  for (std::size_t i = 0; i <= lines && at != std::string::npos && at > 0; ++i) at = text.rfind('\n', at - 1);
  return at == std::string::npos || at == 0 ? text : text.substr(at + 1);
}

}  // namespace

std::vector<std::string> lines_of(const fs::path& file) {
  std::vector<std::string> lines;
  std::istringstream text(read_all(file));
  for (std::string line; std::getline(text, line) && !text.eof();) lines.push_back(line);
  return lines;
}

std::string differences(const Traces& traces, const Traces& undisturbed) {
  std::string text;
  if (traces.steps != undisturbed.steps) {
    text += "steps on record:";
    for (const std::int64_t step : traces.steps) text += fmt::format(" {}", step);
    text += "\n";
  }
  for (std::size_t i = 0; i < std::min(traces.loss_bits.size(), undisturbed.loss_bits.size()); ++i) {
    if (traces.loss_bits[i] == undisturbed.loss_bits[i]) continue;
    text += fmt::format("from line {} on loss_bits are others: {}, expected {}\n", i + 1, traces.loss_bits[i],
                        undisturbed.loss_bits[i]);
    break;
  }
  for (const auto& [step, found] : undisturbed.evaluated) {
    const auto ours = traces.evaluated.find(step);
    const bool there = ours != traces.evaluated.end();
    if (there && ours->second == found) continue;
    text += fmt::format("evaluated after step {} {} times", step, there ? ours->second.size() : 0);
    text += there && ours->second.front() != found.front()
                ? fmt::format(": {}, expected {}\n", ours->second.front(), found.front())
                : "\n";
  }
  if (traces.final_bits != undisturbed.final_bits)
    text += fmt::format("final.json says {}, expected {}\n", traces.final_bits, undisturbed.final_bits);
  for (const std::string& line : traces.misused) text += line + "\n";
  for (const std::string& file : undisturbed.files) {
    if (!traces.files.contains(file)) text += fmt::format("no file {}\n", file);
  }
  for (const std::string& file : traces.files) {
    if (!undisturbed.files.contains(file)) text += fmt::format("a file {}\n", file);
  }
  return text;
}

Traces train_undisturbed(const std::vector<std::string>& overrides) {
  FaultedRun run;
  run.start({.workers = 2, .graph = "static", .engine = "local"}, "", {}, overrides);
  const auto end = run.wait_end(std::chrono::seconds(180));
  if (!end || !end->success()) fail(ErrorCode::kInternal, "the undisturbed run failed\n{}", run.account());
  return run.traces();
}

const Traces& undisturbed() {
  static const Traces traces = train_undisturbed();
  return traces;
}

FaultedRun::FaultedRun() : processes_("faults"), before_(shared_memory()) {
  testing_support::write_text(processes_.folder() / "text.txt", 20'000);
  std::ofstream(processes_.folder() / "tiny.toml") << fmt::format(kRecipe, kSteps, kEvery, kEvery);
}

void FaultedRun::start(const Company& company, const std::string& at, const std::vector<std::string>& launch_words,
                       const std::vector<std::string>& overrides) {
  std::vector<std::string> words = launch_words;
  words.insert(words.end(), {"--run", "out", "--", "train", "tiny.toml"});
  words.insert(words.end(), overrides.begin(), overrides.end());
  launch(company, at, words);
}

void FaultedRun::resume(const Company& company) { launch(company, "", {"--", "resume", "out"}); }

void FaultedRun::launch(const Company& company, const std::string& at, const std::vector<std::string>& words) {
  std::vector<std::string> command = {"/usr/bin/env"};
  if (!at.empty()) command.push_back("CONVOY_AT=" + at);
  command.insert(command.end(), {CONVOY_PROGRAM, "launch", "-n", std::to_string(company.workers)});
  command.insert(command.end(), words.begin(), words.end());
  command.insert(command.end(), {"train.graph=" + company.graph, "sync.engine=" + company.engine});
  processes_.start(command);
}

void FaultedRun::continue_stopped(milliseconds after) {
  continuer_ = std::jthread([this, after](const std::stop_token& over) {
    while (!over.stop_requested()) {
      for (const pid_t process : processes_.processes()) {
        if (!is_stopped(process)) continue;
        std::this_thread::sleep_for(after);
        kill(process, SIGCONT);
      }
      std::this_thread::sleep_for(milliseconds(10));
    }
  });
}

std::optional<ExitStatus> FaultedRun::wait_end(milliseconds limit) {
  const auto until = std::chrono::steady_clock::now() + limit;
  while (std::chrono::steady_clock::now() < until) {
    processes_.note_resources();
    if (const auto status = processes_.wait_exit(milliseconds(250))) return status;
  }
  return std::nullopt;
}

Traces FaultedRun::traces() const {
  Traces traces;
  for (const std::string& line : lines_of(folder() / "metrics.jsonl")) {
    const json metrics = json::parse(line);
    traces.steps.push_back(metrics.at("step"));
    traces.loss_bits.push_back(metrics.at("loss_bits"));
  }
  for (const std::string& line : lines_of(folder() / "events.jsonl")) {
    const json event = json::parse(line);
    if (event.at("kind") == "eval") traces.evaluated[event.at("step")].push_back(event.at("detail"));
  }
  if (std::ifstream file(folder() / "final.json"); file) {
    const json report = json::parse(file);
    for (const char* field : {"steps", "final_loss", "parameters_hash", "state_hash", "eval_loss"})
      traces.final_bits += fmt::format("{} {} ", field, report.at(field).dump());
  }
  try {
    traces.misused = library::audit_run(folder(), {}, {}).wrong;
  } catch (const Error& error) {
    traces.misused = {error.what()};
  }
  // Which checkpoints there are on the way depends on how fast the disk is: one that is due while another is being
  // written is left out.
  for (const std::string& file : files_below(folder(), {"logs", "journal", "tensorboard"})) {
    const bool on_the_way = file.starts_with("checkpoints/step-") && !file.starts_with(last_checkpoint());
    if (!on_the_way) traces.files.insert(file);
  }
  return traces;
}

std::string FaultedRun::last_checkpoint() const {
  const auto steps = lines_of(folder() / "metrics.jsonl").size();
  return fmt::format("checkpoints/step-{}/", steps);
}

std::vector<Participant> FaultedRun::participants() const {
  std::vector<Participant> found;
  for (const std::string& line : lines_of(folder() / "events.jsonl")) {
    const json event = json::parse(line);
    if (event.at("kind") != "worker_joined") continue;
    const Participant one{.uuid = Uuid::parse(event.at("worker").get<std::string>()), .number = event.at("rank")};
    // To a scheduler that was started anew everybody comes again.
    if (std::ranges::count(found, one.uuid, &Participant::uuid) == 0) found.push_back(one);
  }
  return found;
}

std::vector<scheduler::EpochRecord> FaultedRun::epochs() const {
  std::vector<scheduler::EpochRecord> found;
  for (const auto& record : scheduler::read_journal(folder() / "journal")) {
    if (const auto* epoch = std::get_if<scheduler::EpochRecord>(&record)) found.push_back(*epoch);
  }
  return found;
}

int FaultedRun::count_events(const std::string& kind) const {
  int count = 0;
  for (const std::string& line : lines_of(folder() / "events.jsonl")) count += json::parse(line).at("kind") == kind;
  return count;
}

std::int64_t FaultedRun::steps_recorded() const { return std::ssize(lines_of(folder() / "metrics.jsonl")); }

std::string FaultedRun::left_behind() {
  std::string text = processes_.left_behind(std::chrono::seconds(3));
  for (const std::string& name : shared_memory()) {
    if (!before_.contains(name)) text += "/dev/shm/" + name + "\n";
  }
  // It is where the run has its temporary files, too.
  for (const std::string& file : files_below(processes_.folder(), {"out", "text.txt", "tiny.toml", "stdout", "stderr"}))
    text += file + "\n";
  return text;
}

std::string FaultedRun::account() const {
  std::string text = "--- output\n" + tail(processes_.output(), 10) + "--- errors\n" + tail(processes_.errors(), 20) +
                     "--- events\n" + tail(read_all(folder() / "events.jsonl"), 40);
  std::error_code error;
  for (const auto& log : fs::directory_iterator(folder() / "logs", error))
    text += "--- " + log.path().filename().string() + "\n" + tail(read_all(log.path()), 12);
  return text;
}

}  // namespace convoy::chaos
