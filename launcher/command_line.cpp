#include "launcher/command_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "core/base/error.h"
#include "core/base/recipe_changes.h"
#include "core/base/recipe_suggest.h"
#include "launcher/command_options.h"

#ifndef CONVOY_VERSION
#error "CONVOY_VERSION is set by CMake"
#endif

namespace convoy::launcher {
namespace {

constexpr std::array<std::string_view, 9> kCommands = {"train",    "launch",    "resume", "eval", "export",
                                                       "generate", "scheduler", "status", "audit"};

constexpr char kHelp[] =
    R"(Convoy trains deep networks with several workers, and any number of workers gives the same bits.

  convoy train RECIPE [key=value ...] [--run DIR]
      trains with one worker; --dry-run and --print-graph show what a step will do instead, --profile A:B where the
      time of steps A to B goes
  convoy launch -n N [--run DIR] -- train RECIPE [key=value ...]
      trains with N workers on this machine; who dies is replaced (--max-restarts R times an hour), and with fewer than
      --min-workers K the run waits
  convoy launch --join RUN|HOST:PORT -n N -- train RECIPE [key=value ...]
      adds N workers to a run that is under way; from another host if that was launched with --listen ADDRESS
  convoy launch -n N [--run DIR] -- PROGRAM [ARGUMENT ...]
      the same for a program built on Convoy's library
  convoy resume DIR [key=value ...], convoy launch -n N -- resume DIR [key=value ...]
      goes on with a stopped run from its last checkpoint, with any number of workers
  convoy eval DIR|CHECKPOINT [key=value ...] [--json]
      held-out loss and accuracy of what was trained
  convoy export DIR|CHECKPOINT --onnx FILE [key=value ...]
      writes what was trained as an ONNX model
  convoy generate DIR|CHECKPOINT --prompt TEXT [--tokens N] [--temperature T] [--seed S]
      continues a text with what was trained
  convoy status DIR|ADDRESS [--json] [--watch]
      who is in a run, its step, loss and speed, and what happened; the run serves the same as a page for browsers
  convoy audit DIR [key=value ...]
      whether every shard of every step, and every sample of every pass over the data, was used exactly once
  convoy scheduler --run DIR --workers N --steps K [--listen ADDRESS]
      what `convoy launch` starts beside its workers; by itself it leaves address, key and token in DIR/scheduler.json
  convoy --version

A recipe is a TOML file (see recipes/); key=value overrides use dotted keys, like train.steps=50.
Without --run a run leaves its files in runs/RECIPE-TIME. `convoy COMMAND --help` lists a command's options.
Exit codes: 0 done; 1 the run failed; 2 wrong usage or recipe; 75 stopped by a signal after a checkpoint, `convoy
resume` goes on.
)";

[[noreturn]] void refuse_command(const std::string& word) {
  const std::string nearest = nearest_word(word, {kCommands.begin(), kCommands.end()});
  if (!nearest.empty()) fail(ErrorCode::kUsage, "unknown command '{}': did you mean '{}'?", word, nearest);
  fail(ErrorCode::kUsage, "unknown command '{}': expected {}", word, fmt::join(kCommands, ", "));
}

CommandLine parse_train(const std::vector<std::string>& words) {
  TrainLine line;
  std::vector<std::string> runs;
  CLI::App app("Trains with one worker.", "convoy train");
  app.add_option("RECIPE", line.recipe, "the recipe, a TOML file")->required();
  app.add_option("key=value", line.overrides, "values that replace the recipe's, like train.steps=50");
  add_run_option(app, runs);
  add_http_option(app, line.http);
  add_place_option(app, line.place);
  InspectionWords inspection;
  add_inspection_options(app, inspection);
  if (auto help = parse(app, words)) return PrintLine{*std::move(help)};
  check_overrides("convoy train", line.overrides);
  line.inspection = inspection.parsed("convoy train");
  line.run = one_run(runs);
  return line;
}

// `who`: convoy, or a program built on the library.
CommandLine parse_resume(const std::string& who, const std::vector<std::string>& words) {
  TrainLine line;
  line.resume = true;
  std::string directory;
  std::vector<std::string> runs;
  CLI::App app("Goes on with a stopped run from its last checkpoint.", who + " resume");
  app.add_option("DIR", directory, "the run directory")->required();
  app.add_option("key=value", line.overrides, "values that replace the recipe's, like train.steps=50");
  app.add_option("--run", runs, "the same directory once more")->allow_extra_args(false);
  add_http_option(app, line.http);
  InspectionWords inspection;
  add_replay_options(app, inspection);
  if (auto help = parse(app, words)) return PrintLine{*std::move(help)};
  check_overrides(app.get_name(), line.overrides);
  line.inspection = inspection.parsed(app.get_name());
  while (directory.size() > 1 && directory.ends_with('/')) directory.pop_back();
  runs.insert(runs.begin(), directory);
  line.run = one_run(runs);
  line.recipe = directory + "/recipe.toml";
  return line;
}

}  // namespace

void check_launched_place(const TrainLine& line) {
  if (line.place == TrainLine().place) return;
  fail(ErrorCode::kUsage, "convoy launch: --place {}: it tells its workers their places itself", line.place);
}

namespace {

[[noreturn]] void refuse_http_with_join() {
  fail(ErrorCode::kUsage, "convoy launch: --http: the run that --join names has its status page already");
}

CommandLine parse_launch(const std::vector<std::string>& words) {
  const auto separator = std::find(words.begin(), words.end(), "--");
  LaunchLine line;
  std::vector<std::string> runs;
  CLI::App app(
      "Trains with several workers on this machine. Options, then: -- train RECIPE [key=value ...], -- resume DIR, or "
      "-- PROGRAM [ARGUMENT ...]",
      "convoy launch");
  app.add_option("-n", line.workers, "how many workers")->required();
  add_run_option(app, runs);
  add_http_option(app, line.http);
  auto* const least = app.add_option("--min-workers", line.min_workers, "with fewer the run waits for more")
                          ->check(at_least(1))
                          ->capture_default_str();
  app.add_option("--join", line.join, "ADDRESS: a run under way that the workers join, its directory or HOST:PORT")
      ->excludes(least);
  auto* const join = app.get_option("--join");
  app.add_option("--listen", line.listen,
                 "ADDRESS[:PORT] of this host at which workers of other hosts may join the run (0.0.0.0: every one)")
      ->check(listen_address())
      ->excludes(join);
  app.add_option("--max-restarts", line.max_restarts, "how often in an hour a worker that died is replaced")
      ->check(at_least(0))
      ->capture_default_str();
  const std::vector<std::string> own(words.begin(), separator);
  for (const char* command : {"train", "resume"}) {
    if (separator == words.end() && std::find(own.begin(), own.end(), command) != own.end())
      fail(ErrorCode::kUsage, "convoy launch: '--' is missing before '{}' (convoy launch -n N -- {} ...)", command,
           command);
  }
  if (auto help = parse(app, own)) return PrintLine{*std::move(help)};
  if (!line.listen.empty()) line.listen = whole_address(line.listen);
  if (line.workers < 1) fail(ErrorCode::kUsage, "convoy launch: -n {} must be at least 1", line.workers);
  check_min_workers("convoy launch", line.min_workers, "-n", line.workers);
  if (line.join && line.join->empty())
    fail(ErrorCode::kUsage, "convoy launch: --join '': expected a run's directory, or HOST:PORT");
  if (separator == words.end() || separator + 1 == words.end()) {
    fail(ErrorCode::kUsage,
         "convoy launch: expected '-- train RECIPE', '-- resume DIR' or '-- PROGRAM' after the options");
  }
  const std::string& command = *(separator + 1);
  line.run = one_run(runs);
  if (command != "train" && command != "resume") {
    line.program = ProgramLine{.program = command, .arguments = {separator + 2, words.end()}};
    if (line.join && !line.http.empty()) refuse_http_with_join();
    return line;
  }
  const std::vector<std::string> rest(separator + 2, words.end());
  CommandLine train = command == "train" ? parse_train(rest) : parse_resume("convoy", rest);
  if (std::holds_alternative<PrintLine>(train)) return train;
  line.train = std::get<TrainLine>(std::move(train));
  check_launched_place(line.train);
  if (line.train.run) runs.push_back(*line.train.run);
  line.train.run = one_run(runs);
  if (line.http.empty()) line.http = line.train.http;
  if (line.join && !line.http.empty()) refuse_http_with_join();
  return line;
}

CommandLine parse_scheduler(const std::vector<std::string>& words) {
  SchedulerLine line{.run = "", .listen = "tcp://127.0.0.1:0"};
  CLI::App app("Serves a run's workers and keeps its records.", "convoy scheduler");
  app.add_option("--run", line.run, "where the run leaves its files")->required();
  app.add_option("--listen", line.listen, "address to bind; port 0 takes a free one")->capture_default_str();
  add_http_option(app, line.http);
  app.add_option("--workers", line.workers, "how many workers to wait for")->required()->check(at_least(1));
  app.add_option("--min-workers", line.min_workers, "with fewer the run waits")->check(at_least(1));
  app.add_option("--max-workers", line.max_workers, "more are refused; 0: any number")->check(at_least(0));
  app.add_option("--steps", line.steps, "steps of the whole run")->required()->check(at_least(1));
  app.add_option("--resume-step", line.resume_step, "step of the checkpoint that the run goes on from")
      ->check(at_least(0))
      ->capture_default_str();
  app.add_option("--program", line.program, "whose `resume` goes on with the run, for messages")->capture_default_str();
  app.add_option("--suspect", line.suspect_s, "seconds of silence after which a worker is lost")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--hang", line.hang_s, "longest time without progress, seconds")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_flag("--rebuilds,!--no-rebuilds", line.rebuilds, "whether the run goes on when a worker dies");
  app.add_flag("--restarted", line.restarted, "go on with a run whose scheduler died and whose workers live");
  if (auto help = parse(app, words)) return PrintLine{*std::move(help)};
  check_min_workers("convoy scheduler", line.min_workers, "--workers", line.workers);
  return line;
}

std::string changeable_keys() { return fmt::format("{}", fmt::join(kChangeableOnceTrained, ", ")); }

CommandLine parse_eval(const std::string& who, const std::vector<std::string>& words) {
  EvalLine line;
  CLI::App app("Held-out loss and accuracy of what was trained.", who + " eval");
  app.add_option("SOURCE", line.source, "a run directory or a checkpoint")->required();
  app.add_option("key=value", line.overrides, changeable_keys());
  app.add_flag("--json", line.json, "print a JSON object");
  if (auto help = parse(app, words)) return PrintLine{*std::move(help)};
  check_overrides(app.get_name(), line.overrides);
  return line;
}

CommandLine parse_audit(const std::string& who, const std::vector<std::string>& words) {
  AuditLine line;
  CLI::App app(
      "Whether a run used every shard of every step, and every sample of every pass over its data, exactly once.",
      who + " audit");
  app.add_option("DIR", line.run, "a run directory")->required();
  app.add_option("key=value", line.overrides, "data.path, where the data lie elsewhere now");
  if (auto help = parse(app, words)) return PrintLine{*std::move(help)};
  check_overrides(app.get_name(), line.overrides);
  for (const std::string& override : line.overrides) {
    if (!override.starts_with("data.path="))
      fail(ErrorCode::kUsage, "{}: '{}': expected data.path=PATH, the only value that an audit may change",
           app.get_name(), override);
  }
  return line;
}

CommandLine parse_export(const std::string& who, const std::vector<std::string>& words) {
  ExportLine line;
  CLI::App app("Writes what was trained as an ONNX model.", who + " export");
  app.add_option("SOURCE", line.source, "a run directory or a checkpoint")->required();
  app.add_option("--onnx", line.onnx, "the file to write")->required();
  app.add_option("key=value", line.overrides, changeable_keys());
  if (auto help = parse(app, words)) return PrintLine{*std::move(help)};
  if (line.onnx.empty())
    fail(ErrorCode::kUsage, "{}: --onnx '': expected the name of the file to write", app.get_name());
  check_overrides(app.get_name(), line.overrides);
  return line;
}

CommandLine parse_generate(const std::vector<std::string>& words) {
  GenerateLine line;
  CLI::App app("Continues a text with what was trained.", "convoy generate");
  app.add_option("SOURCE", line.source, "a run directory or a checkpoint")->required();
  app.add_option("--prompt", line.prompt, "the text to continue")->required();
  app.add_option("--tokens", line.tokens, "how many tokens to add")->check(at_least(1))->capture_default_str();
  app.add_option("--temperature", line.temperature, "0: always the likeliest token")
      ->check(at_least(0))
      ->capture_default_str();
  app.add_option("--seed", line.seed, "of the random choices")->check(at_least(0))->capture_default_str();
  if (auto help = parse(app, words)) return PrintLine{*std::move(help)};
  return line;
}

CommandLine parse_status(const std::vector<std::string>& words) {
  StatusLine line;
  CLI::App app("Who is in a run, its step, loss and speed, and what happened.", "convoy status");
  app.add_option("SOURCE", line.source, "a run directory, or the address (HOST:PORT) of a run's status page")
      ->required();
  app.add_flag("--json", line.json, "print a JSON object, as the page's /status.json");
  app.add_flag("--watch", line.watch, "every second, until the run ends");
  app.add_option("--token-file", line.token_file, "holds the page's token (otherwise: CONVOY_HTTP_TOKEN)");
  if (auto help = parse(app, words)) return PrintLine{*std::move(help)};
  if (line.source.empty())
    fail(ErrorCode::kUsage, "convoy status: '': expected a run directory or the address of a status page");
  return line;
}

}  // namespace

CommandLine parse_command_line(const std::vector<std::string>& arguments) {
  if (arguments.empty())
    fail(ErrorCode::kUsage, "expected a command: {} (see convoy --help)", fmt::join(kCommands, ", "));
  const std::string& command = arguments.front();
  const std::vector<std::string> words(arguments.begin() + 1, arguments.end());
  if (command == "--help" || command == "-h" || command == "help") return PrintLine{kHelp};
  if (command == "--version") return PrintLine{"convoy " CONVOY_VERSION "\n"};
  if (command == "train") return parse_train(words);
  if (command == "resume") return parse_resume("convoy", words);
  if (command == "launch") return parse_launch(words);
  if (command == "scheduler") return parse_scheduler(words);
  if (command == "eval") return parse_eval("convoy", words);
  if (command == "audit") return parse_audit("convoy", words);
  if (command == "export") return parse_export("convoy", words);
  if (command == "generate") return parse_generate(words);
  if (command == "status") return parse_status(words);
  refuse_command(command);
}

CommandLine parse_program_line(const std::string& name, const std::vector<std::string>& words, bool has_recipe) {
  const std::string command = words.empty() ? "" : words.front();
  if (command == "resume") return parse_resume(name, {words.begin() + 1, words.end()});
  if (command == "eval") return parse_eval(name, {words.begin() + 1, words.end()});
  if (command == "audit") return parse_audit(name, {words.begin() + 1, words.end()});
  if (command == "export") return parse_export(name, {words.begin() + 1, words.end()});
  TrainLine line;
  std::vector<std::string> runs;
  CLI::App app("Trains a model of its own, with one worker; with several: convoy launch -n N -- " + name, name);
  app.footer(
      fmt::format("{0} resume DIR goes on with a stopped run, {0} eval DIR says how good it is, {0} "
                  "export DIR --onnx FILE writes it as an ONNX model.",
                  name));
  app.add_option("RECIPE key=value", line.overrides,
                 "a recipe (a TOML file), and values that replace the recipe's, like train.steps=50");
  add_run_option(app, runs);
  add_http_option(app, line.http);
  add_place_option(app, line.place);
  InspectionWords inspection;
  add_inspection_options(app, inspection);
  if (auto help = parse(app, words)) return PrintLine{*std::move(help)};
  line.inspection = inspection.parsed(name);
  if (!line.overrides.empty() && line.overrides.front().find('=') == std::string::npos) {
    line.recipe = line.overrides.front();
    line.overrides.erase(line.overrides.begin());
  }
  if (line.recipe.empty() && !has_recipe) fail(ErrorCode::kUsage, "{}: RECIPE is required (see {} --help)", name, name);
  check_overrides(name, line.overrides);
  line.run = one_run(runs);
  return line;
}

std::vector<std::string> to_arguments(const Inspection& inspection) {
  std::vector<std::string> arguments;
  if (inspection.dry_run) arguments.emplace_back("--dry-run");
  if (inspection.print_graph) arguments.emplace_back("--print-graph");
  if (inspection.passes != Inspection().passes) arguments.push_back("--passes=" + inspection.passes);
  if (inspection.profile)
    arguments.push_back(fmt::format("--profile={}:{}", inspection.profile->first, inspection.profile->last));
  return arguments;
}

std::vector<std::string> to_arguments(const SchedulerLine& line) {
  std::vector<std::string> arguments = {"scheduler",
                                        "--run=" + line.run,
                                        "--listen=" + line.listen,
                                        fmt::format("--workers={}", line.workers),
                                        fmt::format("--min-workers={}", line.min_workers),
                                        fmt::format("--max-workers={}", line.max_workers),
                                        fmt::format("--steps={}", line.steps),
                                        fmt::format("--resume-step={}", line.resume_step),
                                        "--program=" + line.program,
                                        fmt::format("--suspect={}", line.suspect_s),
                                        fmt::format("--hang={}", line.hang_s)};
  if (!line.http.empty()) arguments.push_back("--http=" + line.http);
  if (!line.rebuilds) arguments.emplace_back("--no-rebuilds");
  if (line.restarted) arguments.emplace_back("--restarted");
  return arguments;
}

}  // namespace convoy::launcher
