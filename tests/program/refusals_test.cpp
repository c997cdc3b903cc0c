// Everything a user can get wrong before a run: one line that says what and where, exit code 2, and nothing left.
#include <gtest/gtest.h>
#include <zlib.h>

#include <functional>

#include "tests/program/program_run.h"

namespace convoy {
namespace {

using Words = std::vector<std::string>;

struct Refusal {
  std::string name;
  Words arguments;
  std::string message;                                       // after "convoy: "; DIR is where the program runs
  std::function<void(const ProgramRun&)> prepare = nullptr;  // before it runs
};

// gpt.toml with one thing changed.
auto gpt_with(const std::string& from, const std::string& to) {
  return [=](const ProgramRun& run) {
    std::string text = kGptRecipe;
    text.replace(text.find(from), from.size(), to);
    run.write("gpt.toml", text);
  };
}

auto text_of(const std::string& text) {
  return [=](const ProgramRun& run) { run.write("text.txt", text); };
}

constexpr char kImages[] = "digits/t10k-images-idx3-ubyte";

void cut_images(const ProgramRun& run) { std::filesystem::resize_file(run.folder() / kImages, 1000); }

void cut_gzipped_images(const ProgramRun& run) {
  const std::string bytes = run.read(kImages);
  const std::filesystem::path zipped = run.folder() / (std::string(kImages) + ".gz");
  gzFile file = gzopen(zipped.c_str(), "wb");
  ASSERT_EQ(gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())), static_cast<int>(bytes.size()));
  gzclose(file);
  std::filesystem::resize_file(zipped, std::filesystem::file_size(zipped) / 2);
  std::filesystem::remove(run.folder() / kImages);
}

const Words kGpt = {"train", "gpt.toml"};
const Words kMlp = {"train", "mlp.toml"};

// Must read the same from `convoy train` and from `convoy launch`.
std::vector<Refusal> wrong_recipes() {
  return {
      {"UnknownKey", kGpt, "gpt.toml:5: model.widht: unknown key; did you mean model.width?",
       gpt_with("width", "widht")},
      {"UnknownKeyOnTheCommandLine",
       {"train", "gpt.toml", "train.step=9"},
       "command line: train.step=9: unknown key; did you mean train.steps?"},
      {"UnknownSection", kGpt, "gpt.toml:13: [trian]: unknown section; did you mean [train]?",
       gpt_with("[train]", "[trian]")},
      {"WrongType", kGpt, "gpt.toml:14: train.steps: expected an integer >= 1, found \"5\"",
       gpt_with("steps = 5", "steps = \"5\"")},
      {"WrongRange", kGpt, "gpt.toml:12: optimizer.lr: expected a number > 0, found -1", gpt_with("1e-2", "-1.0")},
      {"WrongKind", kGpt,
       "gpt.toml:2: model.kind: expected one of \"gpt\", \"mlp\", \"resnet\", found \"gtp\"; did you mean \"gpt\"?",
       gpt_with("\"gpt\"", "\"gtp\"")},
      {"MissingKey", kGpt, "gpt.toml:13: train.steps: missing from section [train]; expected an integer >= 1",
       gpt_with("steps = 5\n", "")},
      {"NotToml", kGpt, "gpt.toml:3:8: not valid TOML: Error while parsing key-value pair: expected '=', saw '1'",
       gpt_with("layers = 1", "layers 1")},
      {"ShardsThatDoNotDivideTheBatch", kGpt,
       "gpt.toml:15: train.global_batch: expected a multiple of train.logical_shards = 4, found 9",
       gpt_with("global_batch = 8", "global_batch = 9")},
      {"MissingRecipe", {"train", "none.toml"}, "none.toml: cannot read the recipe: No such file or directory"},
      {"MissingText", kGpt, "gpt.toml:8: data.path: DIR/none.txt: cannot open: No such file or directory",
       gpt_with("text.txt", "none.txt")},
      {"EmptyText", kGpt, "gpt.toml:8: data.path: DIR/text.txt is empty; expected text", text_of("")},
      {"ContextLongerThanTheText", kGpt,
       "gpt.toml:9: data.context: a context of 16 needs at least 19 bytes with 0.1 of them held out; DIR/text.txt "
       "holds 5",
       text_of("short")},
      {"ContextOnTheCommandLineLongerThanTheText",
       {"train", "gpt.toml", "data.context=5000"},
       "command line: data.context=5000: a context of 5000 needs at least 5557 bytes with 0.1 of them held out; "
       "DIR/text.txt holds 4000"},
      {"MissingDigits",
       {"train", "mlp.toml", "data.path=none"},
       "command line: data.path=none: DIR/none: No such file or directory; expected a folder with MNIST's IDX files"},
      {"TruncatedDigits", kMlp,
       "mlp.toml:6: data.path: DIR/" + std::string(kImages) + ": is cut short after 984 of 39200 bytes of data",
       cut_images},
      {"TruncatedGzippedDigits", kMlp,
       "mlp.toml:6: data.path: DIR/" + std::string(kImages) + ".gz: the gzip file is cut short", cut_gzipped_images},
  };
}

std::vector<Refusal> wrong_usage() {
  return {
      {"NoWorkers", {"launch", "-n", "0", "--", "train", "gpt.toml"}, "convoy launch: -n 0 must be at least 1"},
      {"MoreWorkersThanShards",
       {"launch", "-n", "5", "--", "train", "gpt.toml"},
       "-n 5: expected at most one worker a logical shard, of which there are 4 (gpt.toml:16: train.logical_shards)"},
      {"NoCommand",
       {},
       "expected a command: train, launch, resume, eval, export, generate, scheduler, status, audit (see convoy "
       "--help)"},
      {"UnknownCommand", {"trian", "gpt.toml"}, "unknown command 'trian': did you mean 'train'?"},
      {"UnknownOption",
       {"train", "gpt.toml", "--steps", "5"},
       "convoy train: unknown option --steps (see convoy train --help)"},
      {"UnknownOptionOfLaunch",
       {"launch", "-n", "2", "--wat", "--", "train", "gpt.toml"},
       "convoy launch: unknown option --wat (see convoy launch --help)"},
      {"AnAddressOfAnotherHost",
       {"launch", "-n", "2", "--listen", "192.0.2.1", "--", "train", "gpt.toml"},
       "convoy launch: --listen: cannot listen on tcp://192.0.2.1:0: Cannot assign requested address: expected an "
       "address of this host"},
      {"NoRecipe", {"train"}, "convoy train: RECIPE is required (see convoy train --help)"},
      {"GenerateFromNothing",
       {"generate", "none", "--prompt", "a"},
       "none: expected a checkpoint, or a run directory with one in checkpoints/"},
  };
}

void expect_refused(const Refusal& refusal, const Words& arguments) {
  ProgramRun run;
  if (refusal.prepare) refusal.prepare(run);
  EXPECT_EQ(run.run(arguments), 2);
  EXPECT_EQ(run.message(), "convoy: " + refusal.message + "\n");
  EXPECT_EQ(run.output(), "");
  EXPECT_FALSE(exists(run.folder() / "runs"));
  EXPECT_EQ(run.left_behind(std::chrono::seconds(1)), "");
}

class RefusalTest : public testing::TestWithParam<Refusal> {};
TEST_P(RefusalTest, IsOneLineThatSaysWhatAndWhere) { expect_refused(GetParam(), GetParam().arguments); }

class RecipeRefusalTest : public testing::TestWithParam<Refusal> {};
TEST_P(RecipeRefusalTest, ReadsTheSameFromTrainAndLaunch) {
  expect_refused(GetParam(), GetParam().arguments);
  Words launched = {"launch", "-n", "2", "--"};
  launched.insert(launched.end(), GetParam().arguments.begin(), GetParam().arguments.end());
  expect_refused(GetParam(), launched);
}

const auto kName = [](const auto& refusal) { return refusal.param.name; };
INSTANTIATE_TEST_SUITE_P(Usage, RefusalTest, testing::ValuesIn(wrong_usage()), kName);
INSTANTIATE_TEST_SUITE_P(Recipe, RecipeRefusalTest, testing::ValuesIn(wrong_recipes()), kName);

void PrintTo(const Refusal& refusal, std::ostream* out) { *out << refusal.name; }

}  // namespace
}  // namespace convoy
