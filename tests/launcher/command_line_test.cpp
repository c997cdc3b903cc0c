#include "launcher/command_line.h"

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/base/recipe_changes.h"

namespace convoy::launcher {
namespace {

using Words = std::vector<std::string>;

template <typename Line>
Line parsed(const Words& words) {
  return std::get<Line>(parse_command_line(words));
}

// The message with which `words` are refused.
std::string refusal(const Words& words) {
  try {
    parse_command_line(words);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    const std::string what = error.what();
    EXPECT_EQ(what.find('\n'), std::string::npos) << what;
    return what;
  }
  return "accepted";
}

TEST(CommandLineTest, TrainTakesARecipeOverridesAndARunDirectory) {
  const auto line = parsed<TrainLine>({"train", "gpt.toml", "train.steps=50", "--run", "out", "data.path='a b'"});
  EXPECT_EQ(line.recipe, "gpt.toml");
  EXPECT_EQ(line.overrides, (Words{"train.steps=50", "data.path='a b'"}));
  EXPECT_EQ(line.run, "out");
  EXPECT_EQ(parsed<TrainLine>({"train", "gpt.toml"}).run, std::nullopt);
}

TEST(CommandLineTest, LaunchTakesTheNumberOfWorkersAndATrainLine) {
  const auto line = parsed<LaunchLine>({"launch", "-n", "4", "--run", "out", "--", "train", "gpt.toml", "a.b=1"});
  EXPECT_EQ(line.workers, 4);
  EXPECT_EQ(line.train.recipe, "gpt.toml");
  EXPECT_EQ(line.train.overrides, Words{"a.b=1"});
  EXPECT_EQ(line.train.run, "out");
  EXPECT_EQ(parsed<LaunchLine>({"launch", "-n2", "--", "train", "gpt.toml", "--run=x"}).train.run, "x");
}

TEST(CommandLineTest, AnUnknownOptionIsNamedWithTheNearest) {
  EXPECT_EQ(refusal({"launch", "-n", "2", "--max-restart", "3", "--", "train", "r"}),
            "convoy launch: unknown option --max-restart (did you mean --max-restarts?) (see convoy launch --help)");
  EXPECT_EQ(refusal({"launch", "-n", "2", "--min-worker=1", "--", "train", "r"}),
            "convoy launch: unknown option --min-worker (did you mean --min-workers?) (see convoy launch --help)");
  EXPECT_EQ(refusal({"launch", "-n", "2", "--quickly", "--", "train", "r"}),
            "convoy launch: unknown option --quickly (see convoy launch --help)");
  EXPECT_EQ(refusal({"launch", "-n", "2", "3", "--", "train", "r"}),
            "convoy launch: '3' is one word too many (see convoy launch --help)");
}

TEST(CommandLineTest, LaunchListensForOtherHostsWhereItIsToldTo) {
  EXPECT_EQ(parsed<LaunchLine>({"launch", "-n", "2", "--", "train", "r"}).listen, "");
  for (const auto& [said, meant] : {std::pair{"10.0.0.1", "tcp://10.0.0.1:0"},
                                    {"10.0.0.1:4321", "tcp://10.0.0.1:4321"},
                                    {"tcp://0.0.0.0:0", "tcp://0.0.0.0:0"}})
    EXPECT_EQ(parsed<LaunchLine>({"launch", "-n", "2", "--listen", said, "--", "train", "r"}).listen, meant);
  EXPECT_NE(refusal({"launch", "-n", "2", "--listen", "10.0.0.1:port", "--", "train", "r"}).find("expected an address"),
            std::string::npos);
  EXPECT_NE(refusal({"launch", "-n", "2", "--listen", "10.0.0.1", "--join", "out", "--", "train", "r"}).find("--join"),
            std::string::npos);
}

TEST(CommandLineTest, LaunchIsToldHowManyMayBeLostAndHowOftenTheyAreReplaced) {
  const auto plain = parsed<LaunchLine>({"launch", "-n", "4", "--", "train", "gpt.toml"});
  EXPECT_EQ(plain.min_workers, 1);
  EXPECT_EQ(plain.max_restarts, 10);
  const auto line =
      parsed<LaunchLine>({"launch", "-n", "4", "--min-workers", "3", "--max-restarts=0", "--", "train", "gpt.toml"});
  EXPECT_EQ(line.min_workers, 3);
  EXPECT_EQ(line.max_restarts, 0);
  EXPECT_EQ(refusal({"launch", "-n", "2", "--min-workers=3", "--", "train", "gpt.toml"}),
            "convoy launch: --min-workers 3 is more than -n 2");
  EXPECT_NE(refusal({"launch", "-n", "2", "--min-workers=0", "--", "train", "r"}).find("at least 1"),
            std::string::npos);
  EXPECT_NE(refusal({"launch", "-n", "2", "--max-restarts=-1", "--", "train", "r"}).find("0 or more"),
            std::string::npos);
}

TEST(CommandLineTest, LaunchAddsWorkersToARunUnderWay) {
  EXPECT_FALSE(parsed<LaunchLine>({"launch", "-n", "4", "--", "train", "gpt.toml"}).join.has_value());
  const auto line = parsed<LaunchLine>({"launch", "--join", "runs/gpt", "-n", "2", "--", "train", "gpt.toml"});
  EXPECT_EQ(line.join, "runs/gpt");
  EXPECT_EQ(line.workers, 2);
  EXPECT_NE(refusal({"launch", "--join", "runs/gpt", "--min-workers=1", "-n", "2", "--", "train", "r"}).find("--join"),
            std::string::npos);
  EXPECT_NE(refusal({"launch", "--join", "", "-n", "2", "--", "train", "r"}).find("--join"), std::string::npos);
}

TEST(CommandLineTest, LaunchTakesAnyOtherProgramWithItsArguments) {
  const auto line = parsed<LaunchLine>({"launch", "-n", "2", "--run", "out", "--", "./mine", "--flag", "a=1"});
  ASSERT_TRUE(line.program.has_value());
  EXPECT_EQ(line.program->program, "./mine");
  EXPECT_EQ(line.program->arguments, (Words{"--flag", "a=1"}));
  EXPECT_EQ(line.run, "out");
  EXPECT_FALSE(parsed<LaunchLine>({"launch", "-n", "2", "--", "train", "r.toml"}).program.has_value());
}

TEST(CommandLineTest, AProgramTakesWhatTrainTakesAndMayBringTheRecipe) {
  const auto line = std::get<TrainLine>(parse_program_line("mine", {"r.toml", "a.b=1", "--run", "out"}, true));
  EXPECT_EQ(line.recipe, "r.toml");
  EXPECT_EQ(line.overrides, Words{"a.b=1"});
  EXPECT_EQ(line.run, "out");
  EXPECT_EQ(std::get<TrainLine>(parse_program_line("mine", {"a.b=1"}, true)).recipe, "");
  EXPECT_EQ(std::get<TrainLine>(parse_program_line("mine", {"--place", "slurm"}, true)).place, "slurm");
  EXPECT_TRUE(std::holds_alternative<PrintLine>(parse_program_line("mine", {"--help"}, true)));
  EXPECT_THROW(parse_program_line("mine", {"a.b=1"}, false), Error);
  EXPECT_THROW(parse_program_line("mine", {"r.toml", "steps"}, true), Error);
}

TEST(CommandLineTest, RunDirectoryGivenTwiceMustBeTheSame) {
  EXPECT_EQ(parsed<LaunchLine>({"launch", "-n", "2", "--run", "a", "--", "train", "r.toml", "--run", "a"}).train.run,
            "a");
  EXPECT_EQ(refusal({"launch", "-n", "2", "--run", "a", "--", "train", "r.toml", "--run", "b"}),
            "--run is given twice and different: a, b");
  EXPECT_EQ(refusal({"train", "r.toml", "--run", "a", "--run", "b"}), "--run is given twice and different: a, b");
}

TEST(CommandLineTest, LaunchRefusesWhatItCannotLaunch) {
  EXPECT_NE(refusal({"launch", "-n", "0", "--", "train", "r.toml"}).find("-n 0 must be at least 1"), std::string::npos);
  EXPECT_NE(refusal({"launch", "-n", "two", "--", "train", "r.toml"}).find("two"), std::string::npos);
  EXPECT_NE(refusal({"launch", "-n", "2", "train", "r.toml"}).find("'--' is missing"), std::string::npos);
  EXPECT_NE(refusal({"launch", "-n", "2"}).find("-- train RECIPE"), std::string::npos);
  EXPECT_NE(refusal({"launch", "-n", "2", "--"}).find("-- train RECIPE"), std::string::npos);
  EXPECT_NE(refusal({"launch", "--", "train", "r.toml"}).find("-n"), std::string::npos);
  EXPECT_NE(refusal({"launch", "-n", "-1", "--", "train", "r.toml"}).find("-n"), std::string::npos);
}

TEST(CommandLineTest, TrainRefusesWhatIsNoOverride) {
  EXPECT_NE(refusal({"train", "r.toml", "steps"}).find("'steps' is not key=value"), std::string::npos);
  EXPECT_NE(refusal({"train", "r.toml", "=5"}).find("'=5' is not key=value"), std::string::npos);
  EXPECT_NE(refusal({"train"}).find("RECIPE"), std::string::npos);
  EXPECT_NE(refusal({"train", "r.toml", "--sptes", "3"}).find("--sptes"), std::string::npos);
}

TEST(CommandLineTest, TrainTakesWhatIsToBeSeen) {
  const auto plain = parsed<TrainLine>({"train", "r.toml"}).inspection;
  EXPECT_FALSE(plain.instead_of_training());
  EXPECT_EQ(plain.passes, "all");
  EXPECT_FALSE(plain.profile.has_value());
  EXPECT_TRUE(to_arguments(plain).empty());

  const Words words = {"--dry-run", "--print-graph", "--passes=all,-fusion", "--profile=5:7"};
  Words train = {"train", "r.toml"};
  train.insert(train.end(), words.begin(), words.end());
  const auto all = parsed<TrainLine>(train).inspection;
  EXPECT_TRUE(all.dry_run);
  EXPECT_TRUE(all.print_graph);
  EXPECT_EQ(all.passes, "all,-fusion");
  EXPECT_EQ(all.profile->first, 5);
  EXPECT_EQ(all.profile->last, 7);
  EXPECT_EQ(to_arguments(all), words) << "what launch hands on";

  const auto one = parsed<TrainLine>({"resume", "runs/x", "--profile", "3"}).inspection;
  EXPECT_EQ(one.profile->first, 3);
  EXPECT_EQ(one.profile->last, 3);
  EXPECT_TRUE(std::get<TrainLine>(parse_program_line("mine", {"--dry-run"}, true)).inspection.dry_run);
  for (const char* wrong : {"0:3", "7:5", "a:b", "3:", ":3", "3:4:5", "-1:2"}) {
    EXPECT_NE(refusal({"train", "r.toml", std::string("--profile=") + wrong}).find("expected A:B"), std::string::npos)
        << wrong;
  }
}

TEST(CommandLineTest, ResumeTakesARunDirectoryAndOverrides) {
  const auto alone = parsed<TrainLine>({"resume", "runs/x/", "train.steps=9"});
  EXPECT_TRUE(alone.resume);
  EXPECT_EQ(alone.run, "runs/x");
  EXPECT_EQ(alone.recipe, "runs/x/recipe.toml");
  EXPECT_EQ(alone.overrides, std::vector<std::string>{"train.steps=9"});
  const auto launched = parsed<LaunchLine>({"launch", "-n", "3", "--run", "runs/x", "--", "resume", "runs/x"});
  EXPECT_TRUE(launched.train.resume);
  EXPECT_EQ(launched.train.run, "runs/x");
  EXPECT_EQ(refusal({"resume", "a", "--run", "b"}), "--run is given twice and different: a, b");
  EXPECT_NE(refusal({"resume"}).find("DIR"), std::string::npos);
  EXPECT_NE(refusal({"resume", "a", "steps"}).find("convoy resume: 'steps' is not key=value"), std::string::npos);
  EXPECT_NE(refusal({"launch", "-n", "2", "resume", "a"}).find("'--' is missing before 'resume'"), std::string::npos);
}

TEST(CommandLineTest, AProgramResumesAndEvaluatesAsConvoyDoes) {
  const auto resume = std::get<TrainLine>(parse_program_line("mine", {"resume", "runs/x/", "train.steps=9"}, true));
  EXPECT_TRUE(resume.resume);
  EXPECT_EQ(resume.run, "runs/x");
  EXPECT_EQ(resume.recipe, "runs/x/recipe.toml");
  EXPECT_EQ(resume.overrides, Words{"train.steps=9"});
  const auto eval = std::get<EvalLine>(parse_program_line("mine", {"eval", "runs/x", "--json"}, false));
  EXPECT_EQ(eval.source, "runs/x");
  EXPECT_TRUE(eval.json);
  const auto exported =
      std::get<ExportLine>(parse_program_line("mine", {"export", "runs/x", "--onnx", "x.onnx"}, false));
  EXPECT_EQ(exported.source, "runs/x");
  EXPECT_EQ(exported.onnx, "x.onnx");
  const auto audit = std::get<AuditLine>(parse_program_line("mine", {"audit", "runs/x", "data.path=/y"}, false));
  EXPECT_EQ(audit.run, "runs/x");
  EXPECT_EQ(audit.overrides, Words{"data.path=/y"});
  try {
    parse_program_line("mine", {"resume", "a", "steps"}, true);
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "mine resume: 'steps' is not key=value (as in train.steps=50)");
  }
}

TEST(CommandLineTest, AnAuditChangesWhereTheDataLieAndNothingElse) {
  EXPECT_EQ(std::get<AuditLine>(parse_command_line({"audit", "runs/x"})).run, "runs/x");
  EXPECT_NE(refusal({"audit"}).find("DIR is required"), std::string::npos);
  EXPECT_EQ(refusal({"audit", "runs/x", "train.seed=2"}),
            "convoy audit: 'train.seed=2': expected data.path=PATH, the only value that an audit may change");
}

TEST(CommandLineTest, UnknownCommandNamesTheNearestRightOne) {
  EXPECT_EQ(refusal({"trian", "r.toml"}), "unknown command 'trian': did you mean 'train'?");
  EXPECT_EQ(refusal({"lanch"}), "unknown command 'lanch': did you mean 'launch'?");
  EXPECT_EQ(
      refusal({"xyzzy"}),
      "unknown command 'xyzzy': expected train, launch, resume, eval, export, generate, scheduler, status, audit");
  EXPECT_NE(refusal({}).find("expected a command"), std::string::npos);
}

TEST(CommandLineTest, GenerateTakesWhatShapesTheText) {
  const auto line = parsed<GenerateLine>(
      {"generate", "runs/x", "--prompt", "Once upon", "--tokens", "10", "--temperature", "0", "--seed", "7"});
  EXPECT_EQ(line.source, "runs/x");
  EXPECT_EQ(line.prompt, "Once upon");
  EXPECT_EQ(line.tokens, 10);
  EXPECT_EQ(line.temperature, 0.0);
  EXPECT_EQ(line.seed, 7U);
  EXPECT_NE(refusal({"generate", "runs/x"}).find("--prompt"), std::string::npos);
  const auto with = [](const std::string& option, const std::string& value) {
    return refusal({"generate", "runs/x", "--prompt", "a", option, value});
  };
  const std::string help = " (see convoy generate --help)";
  EXPECT_EQ(with("--tokens", "0"), "convoy generate: --tokens: expected at least 1, found 0" + help);
  EXPECT_EQ(with("--temperature", "-1"), "convoy generate: --temperature: expected 0 or more, found -1" + help);
  EXPECT_EQ(with("--temperature", "inf"), "convoy generate: --temperature: expected 0 or more, found inf" + help);
  EXPECT_EQ(with("--seed", "-1"), "convoy generate: --seed: expected 0 or more, found -1" + help);
}

TEST(CommandLineTest, SchedulerLineSurvivesTheWayToItsProcess) {
  const SchedulerLine line{.run = "a dir/with -- odd name",
                           .listen = "tcp://127.0.0.1:0",
                           .workers = 3,
                           .min_workers = 2,
                           .max_workers = 8,
                           .steps = 600,
                           .resume_step = 40,
                           .program = "my model",
                           .suspect_s = 2.5,
                           .hang_s = 45,
                           .rebuilds = false,
                           .restarted = true};
  const auto back = parsed<SchedulerLine>(to_arguments(line));
  EXPECT_EQ(back.run, line.run);
  EXPECT_EQ(back.listen, line.listen);
  EXPECT_EQ(back.workers, line.workers);
  EXPECT_EQ(back.max_workers, line.max_workers);
  EXPECT_EQ(back.steps, line.steps);
  EXPECT_EQ(back.resume_step, line.resume_step);
  EXPECT_EQ(back.program, line.program);
  EXPECT_EQ(back.suspect_s, line.suspect_s);
  EXPECT_EQ(back.hang_s, line.hang_s);
  EXPECT_EQ(back.min_workers, line.min_workers);
  EXPECT_FALSE(back.rebuilds);
  EXPECT_TRUE(back.restarted);
  const auto plain =
      parsed<SchedulerLine>(to_arguments(SchedulerLine{.run = "run", .listen = "tcp://127.0.0.1:0", .steps = 1}));
  EXPECT_TRUE(plain.rebuilds);
  EXPECT_FALSE(plain.restarted);
}

TEST(CommandLineTest, HelpNamesTheKeysThatMayChangeOnceTrained) {
  for (const char* command : {"eval", "export"}) {
    const std::string text = parsed<PrintLine>({command, "--help"}).text;
    for (const std::string_view key : kChangeableOnceTrained) EXPECT_NE(text.find(key), std::string::npos) << key;
  }
}

TEST(CommandLineTest, HelpAndVersionArePrinted) {
  EXPECT_NE(parsed<PrintLine>({"--help"}).text.find("convoy launch -n N"), std::string::npos);
  EXPECT_EQ(parsed<PrintLine>({"--version"}).text.rfind("convoy ", 0), 0U);
  for (const char* command :
       {"train", "launch", "resume", "eval", "export", "generate", "scheduler", "status", "audit"}) {
    EXPECT_NE(parsed<PrintLine>({command, "--help"}).text.find("--"), std::string::npos) << command;
  }
}

TEST(CommandLineTest, StatusTakesARunOrAnAddress) {
  const auto line = parsed<StatusLine>({"status", "runs/x", "--watch", "--json", "--token-file", "t"});
  EXPECT_EQ(line.source, "runs/x");
  EXPECT_TRUE(line.watch);
  EXPECT_TRUE(line.json);
  EXPECT_EQ(line.token_file, "t");
  EXPECT_FALSE(parsed<StatusLine>({"status", "h:1"}).watch);
  EXPECT_NE(refusal({"status"}).find("SOURCE"), std::string::npos);
  EXPECT_NE(refusal({"status", ""}).find("expected a run directory"), std::string::npos);
  EXPECT_NE(refusal({"status", "a", "b"}), "accepted");
  EXPECT_NE(refusal({"status", "a", "--wacth"}).find("--wacth"), std::string::npos);
  EXPECT_NE(refusal({"statsu", "a"}).find("did you mean 'status'?"), std::string::npos);
}

TEST(CommandLineTest, HttpSaysWhereTheStatusPageIsServed) {
  EXPECT_EQ(parsed<TrainLine>({"train", "r.toml"}).http, "");
  EXPECT_EQ(parsed<TrainLine>({"train", "r.toml", "--http", "none"}).http, "none");
  EXPECT_EQ(parsed<TrainLine>({"resume", "a", "--http=[::1]:80"}).http, "[::1]:80");
  EXPECT_EQ(parsed<LaunchLine>({"launch", "-n", "2", "--http", "0.0.0.0:0", "--", "train", "r.toml"}).http,
            "0.0.0.0:0");
  EXPECT_EQ(parsed<LaunchLine>({"launch", "-n", "2", "--", "train", "r.toml", "--http", "h:80"}).http, "h:80");
  for (const char* wrong : {"8080", "h:", ":80", "h:x", "h:65536", "h:-1", "http://h:80", "h:80x"})
    EXPECT_NE(refusal({"train", "r.toml", "--http", wrong}).find("expected HOST:PORT"), std::string::npos) << wrong;
  EXPECT_NE(refusal({"launch", "-n", "2", "--join", "a", "--http", "none", "--", "train", "r.toml"}).find("already"),
            std::string::npos);
  SchedulerLine line{.run = "r", .listen = "tcp://127.0.0.1:0", .workers = 2, .steps = 5};
  line.http = "0.0.0.0:8080";
  EXPECT_EQ(parsed<SchedulerLine>(to_arguments(line)).http, "0.0.0.0:8080");
  line.http = "";
  EXPECT_EQ(parsed<SchedulerLine>(to_arguments(line)).http, "");
}

}  // namespace
}  // namespace convoy::launcher
