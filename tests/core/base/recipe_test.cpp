#include "core/base/recipe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/recipe_schema.h"
#include "core/base/recipe_suggest.h"
#include "core/base/uuid.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

constexpr char kGpt[] = R"([model]
kind = "gpt"
layers = 2
heads = 4
width = 128

[data]
kind = "text"
path = "texts/a.txt"
context = 64

[optimizer]
kind = "adamw"
lr = 1e-3

[train]
steps = 600
global_batch = 16
)";

constexpr char kMlp[] = R"([model]
kind = "mlp"
hidden = [256, 128]
[data]
kind = "mnist"
path = "/digits/"
[optimizer]
kind = "adamw"
lr = 1
[train]
steps = 20
global_batch = 128
)";

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

class RecipeTest : public testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder_); }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path() const { return (folder_ / "x.toml").string(); }

  Recipe load(const std::string& text, const std::vector<std::string>& overrides = {}) const {
    std::ofstream(path(), std::ios::binary) << text;
    return load_recipe(path(), overrides);
  }

  // The message of the error, with the file's path cut down to its name.
  std::string message(const std::string& text, const std::vector<std::string>& overrides = {}) const {
    try {
      load(text, overrides);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUsage);
      std::string what = error.what();
      EXPECT_EQ(what.find('\n'), std::string::npos) << what;
      if (what.starts_with(path())) what = what.substr(folder_.string().size() + 1);
      return what;
    }
    return "no error";
  }

  fs::path folder_ = fs::path(testing::TempDir()) / ("recipe_" + random_hex(8));
};

TEST_F(RecipeTest, ReadsKeysAndFillsInDefaults) {
  const Recipe recipe = load(kGpt);
  EXPECT_EQ(recipe.model.kind, "gpt");
  EXPECT_EQ(recipe.model.width, 128);
  EXPECT_EQ(recipe.data.context, 64);
  EXPECT_EQ(recipe.data.tokenizer, "bytes");
  EXPECT_EQ(recipe.data.eval_fraction, 0.1);
  EXPECT_EQ(recipe.optimizer.lr, 1e-3);
  EXPECT_EQ(recipe.optimizer.schedule, "constant");
  EXPECT_EQ(recipe.train.steps, 600);
  EXPECT_EQ(recipe.train.logical_shards, 8);
  EXPECT_EQ(recipe.train.threads, 1);
  EXPECT_EQ(recipe.train.precision, "fp32");
  EXPECT_EQ(recipe.train.device, "auto");
  EXPECT_EQ(recipe.sync.order, "fixed");
  EXPECT_EQ(recipe.sync.engine, "auto");
  EXPECT_EQ(recipe.fault.hang_s, 30.0);
}

TEST_F(RecipeTest, IntegersAreNumbersToo) { EXPECT_EQ(load(kMlp).optimizer.lr, 1.0); }

TEST_F(RecipeTest, DataPathIsRelativeToTheRecipesFolder) {
  EXPECT_EQ(load(kGpt).data.path, (folder_ / "texts/a.txt").string());
  EXPECT_EQ(load(replaced(kGpt, "texts/a.txt", "../b/./a.txt")).data.path,
            (folder_.parent_path() / "b/a.txt").string());
  EXPECT_EQ(load(kMlp).data.path, "/digits");
}

TEST_F(RecipeTest, DataPathOnTheCommandLineIsRelativeToTheWorkingDirectory) {
  EXPECT_EQ(load(kGpt, {"data.path=some where/b.txt"}).data.path, (fs::current_path() / "some where/b.txt").string());
  EXPECT_EQ(load(kGpt, {"data.path=/b.txt"}).data.path, "/b.txt");
}

TEST_F(RecipeTest, OverridesReplaceKeysAndTheLastOneWins) {
  const Recipe recipe = load(kGpt, {"train.steps=50", "train.steps=60", "optimizer.schedule=cosine",
                                    "train.device=\"cpu\"", "sync.bucket_mib=0.25", "optimizer.lr=1"});
  EXPECT_EQ(recipe.train.steps, 60);
  EXPECT_EQ(recipe.optimizer.schedule, "cosine");
  EXPECT_EQ(recipe.train.device, "cpu");
  EXPECT_EQ(recipe.sync.bucket_mib, 0.25);
  EXPECT_EQ(recipe.optimizer.lr, 1.0);
  EXPECT_EQ(load(kMlp, {"model.hidden=[10, 20, 30]"}).model.hidden, (std::vector<std::int64_t>{10, 20, 30}));
}

TEST_F(RecipeTest, TomlRoundTripsExactly) {
  Recipe gpt = load(kGpt);
  gpt.optimizer.lr = 0.1 + 0.2;
  gpt.optimizer.epsilon = 5e-324;
  gpt.optimizer.clip_norm = 1e300;
  gpt.model.dropout = 1.0 / 3.0;
  gpt.train.seed = std::numeric_limits<std::int64_t>::max();
  gpt.data.path = "/a \"quoted\" \\ path\twith é";
  EXPECT_EQ(load(to_toml(gpt)), gpt);
  EXPECT_EQ(to_toml(load(to_toml(gpt))), to_toml(gpt));
  const Recipe mlp = load(kMlp);
  EXPECT_EQ(load(to_toml(mlp)), mlp);
  const Recipe sgd = load(kMlp, {"optimizer.kind=sgd", "optimizer.nesterov=true", "optimizer.schedule=step",
                                 "optimizer.milestones=[10, 15]"});
  EXPECT_TRUE(sgd.optimizer.nesterov);
  EXPECT_EQ(sgd.optimizer.milestones, (std::vector<std::int64_t>{10, 15}));
  EXPECT_EQ(load(to_toml(sgd)), sgd);
}

TEST_F(RecipeTest, TomlHoldsOnlyKeysOfTheChosenKinds) {
  const std::string gpt = to_toml(load(kGpt));
  EXPECT_NE(gpt.find("heads = 4\n"), std::string::npos) << gpt;
  EXPECT_NE(gpt.find("logical_shards = 8\n"), std::string::npos) << gpt;
  EXPECT_NE(gpt.find("\n\n[optimizer]\nkind = \"adamw\"\nlr = 0.001\n"), std::string::npos) << gpt;
  EXPECT_EQ(gpt.find("hidden"), std::string::npos) << gpt;
  const std::string mlp = to_toml(load(kMlp));
  EXPECT_NE(mlp.find("hidden = [256, 128]\n"), std::string::npos) << mlp;
  EXPECT_EQ(mlp.find("context"), std::string::npos) << mlp;
}

TEST_F(RecipeTest, UnknownKeysNameTheNearestRightOne) {
  EXPECT_EQ(message(replaced(kGpt, "steps", "stps")), "x.toml:17: train.stps: unknown key; did you mean train.steps?");
  EXPECT_EQ(message(replaced(kGpt, "layers = 2", "layers = 2\nlr = 3")),
            "x.toml:4: model.lr: unknown key; did you mean optimizer.lr?");
  EXPECT_EQ(message(std::string("steps = 3\n") + kGpt), "x.toml:1: steps: unknown key; did you mean train.steps?");
  EXPECT_EQ(message(replaced(kGpt, "[train]", "[train]\nzzz = 1")),
            "x.toml:17: train.zzz: unknown key; train has steps, global_batch, logical_shards, precision, seed, graph, "
            "recompute, device, threads, eval_every, on_nonfinite, histogram_every, sample_tokens");
  EXPECT_EQ(message(kGpt, {"trian.steps=3"}), "command line: trian.steps=3: unknown key; did you mean train.steps?");
  EXPECT_EQ(message(kGpt, {"steps=3"}), "command line: steps=3: unknown key; did you mean train.steps?");
}

TEST_F(RecipeTest, UnknownSectionsNameTheNearestRightOne) {
  EXPECT_EQ(message(replaced(kGpt, "[train]", "[trian]")),
            "x.toml:16: [trian]: unknown section; did you mean [train]?");
  EXPECT_EQ(message(replaced(kGpt, "[train]", "[observatory]")),
            "x.toml:16: [observatory]: unknown section; expected one of [model], [data], [optimizer], [train], [sync], "
            "[checkpoint], [fault]");
  EXPECT_EQ(message(std::string("train = 3\n")), "x.toml:1: train: expected a section [train]");
}

TEST_F(RecipeTest, WrongValuesSayWhatWasExpected) {
  EXPECT_EQ(message(replaced(kGpt, "\"gpt\"", "\"gtp\"")),
            "x.toml:2: model.kind: expected one of \"gpt\", \"mlp\", \"resnet\", found \"gtp\"; did you mean \"gpt\"?");
  EXPECT_EQ(message(replaced(kGpt, "1e-3", "\"fast\"")),
            "x.toml:14: optimizer.lr: expected a number > 0, found \"fast\"");
  EXPECT_EQ(message(replaced(kGpt, "600", "600.5")), "x.toml:17: train.steps: expected an integer >= 1, found 600.5");
  EXPECT_EQ(message(replaced(kGpt, "600", "0")), "x.toml:17: train.steps: expected an integer >= 1, found 0");
  EXPECT_EQ(message(replaced(kGpt, "1e-3", "inf")), "x.toml:14: optimizer.lr: expected a number > 0, found inf");
  EXPECT_EQ(message(replaced(kGpt, "1e-3", "nan")), "x.toml:14: optimizer.lr: expected a number > 0, found nan");
  EXPECT_EQ(message(replaced(kGpt, "\"texts/a.txt\"", "\"\"")),
            "x.toml:9: data.path: expected a string that is not empty, found \"\"");
  EXPECT_EQ(message(replaced(kMlp, "[256, 128]", "[256, \"a\"]")),
            "x.toml:3: model.hidden: expected a list of integers from 1 to 1000000, such as [256, 128], found [256, "
            "\"a\"]");
  EXPECT_EQ(message(kGpt, {"train.steps=abc"}), "command line: train.steps=abc: expected an integer >= 1, found abc");
  EXPECT_EQ(message(kGpt, {"train.steps="}), "command line: train.steps=: expected an integer >= 1, found nothing");
  EXPECT_EQ(message(kGpt, {"train.steps"}), "command line: train.steps: expected key=value, such as train.steps=50");
  EXPECT_EQ(message(kGpt, {"data.path=\xff"}), "command line: data.path=\xff: expected UTF-8 text");
}

TEST_F(RecipeTest, FeaturesThatAreNotBuiltAreNotAccepted) {
  EXPECT_EQ(message(kGpt, {"train.precision=fp16"}),
            "command line: train.precision=fp16: expected one of \"fp32\", \"bf16\", found \"fp16\"");
  EXPECT_EQ(message(kGpt, {"sync.engine=nccl"}),
            "command line: sync.engine=nccl: expected one of \"auto\", \"local\", \"gloo\", \"mpi\", found \"nccl\"");
}

TEST_F(RecipeTest, KeysOfAnotherKindAreRefused) {
  EXPECT_EQ(message(replaced(kMlp, "hidden", "layers = 2\nhidden")),
            "x.toml:3: model.layers: belongs to model.kind = \"gpt\" or \"resnet\", but this recipe has model.kind = "
            "\"mlp\"");
}

TEST_F(RecipeTest, MissingKeysNameTheirSection) {
  EXPECT_EQ(message(replaced(kGpt, "steps = 600\n", "")),
            "x.toml:16: train.steps: missing from section [train]; expected an integer >= 1");
  EXPECT_EQ(message(replaced(kGpt, "[optimizer]\nkind = \"adamw\"\nlr = 1e-3\n", "")),
            "x.toml: optimizer.kind: missing from section [optimizer]; expected one of \"adamw\", \"sgd\", "
            "\"lamb\"");
}

TEST_F(RecipeTest, AKeyMayBeRequiredOfSomeKindsOnly) {
  const std::string resnet = replaced(kMlp, "kind = \"mlp\"\nhidden = [256, 128]", "kind = \"resnet\"\nlayers = 18");
  const Recipe recipe = load(resnet);
  EXPECT_EQ(recipe.model.width, 64);
  EXPECT_EQ(recipe.model.stem, "auto");
  EXPECT_EQ(message(replaced(kGpt, "width = 128\n", "")),
            "x.toml:1: model.width: missing from section [model]; expected an integer from 1 to 1000000");
  EXPECT_EQ(message(resnet, {"model.layers=20"}),
            "command line: model.layers=20: expected 18, 34, 50, 101 or 152, found 20");
}

TEST_F(RecipeTest, KeysThatDoNotFitTogetherAreRefused) {
  EXPECT_EQ(message(replaced(kGpt, "= 16", "= 12")),
            "x.toml:18: train.global_batch: expected a multiple of train.logical_shards = 8, found 12");
  EXPECT_EQ(message(kGpt, {"train.logical_shards=3"}),
            "x.toml:18: train.global_batch: expected a multiple of train.logical_shards = 3, found 16");
  EXPECT_EQ(message(kGpt, {"model.heads=3"}),
            "x.toml:5: model.width: expected a multiple of model.heads = 3, found 128");
  EXPECT_EQ(message(kGpt, {"fault.heartbeat=9"}),
            "x.toml: fault.suspect: expected more than fault.heartbeat = 9 seconds, found 5.0 (the default)");
  EXPECT_EQ(message(replaced(replaced(kGpt, "\"text\"", "\"mnist\""), "context = 64\n", "")),
            "x.toml:8: data.kind: expected \"text\" or \"tokens\", which model.kind = \"gpt\" reads, found \"mnist\"");
}

TEST_F(RecipeTest, OptimizerKeysThatDoNotFitTogetherAreRefused) {
  EXPECT_EQ(message(kGpt, {"optimizer.momentum=0.9"}),
            "command line: optimizer.momentum=0.9: belongs to optimizer.kind = \"sgd\", but this recipe has "
            "optimizer.kind = \"adamw\"");
  EXPECT_EQ(message(kGpt, {"optimizer.kind=sgd", "optimizer.nesterov=1"}),
            "command line: optimizer.nesterov=1: expected true or false, found 1");
  EXPECT_EQ(message(kGpt, {"optimizer.kind=sgd", "optimizer.nesterov=true", "optimizer.momentum=0"}),
            "command line: optimizer.nesterov=true: expected optimizer.momentum > 0 with it, found true");
  EXPECT_EQ(message(kGpt, {"optimizer.schedule=step"}),
            "command line: optimizer.schedule=step: expected either optimizer.step_every or optimizer.milestones with "
            "it, found \"step\"");
  EXPECT_EQ(message(kGpt, {"optimizer.schedule=step", "optimizer.step_every=5", "optimizer.milestones=[3]"}),
            "command line: optimizer.schedule=step: expected either optimizer.step_every or optimizer.milestones with "
            "it, found \"step\"");
  EXPECT_EQ(message(kGpt, {"optimizer.schedule=step", "optimizer.milestones=[3, 3]"}),
            "command line: optimizer.milestones=[3, 3]: expected steps in ascending order, found [3, 3]");
  EXPECT_EQ(message(kGpt, {"optimizer.step_every=5"}),
            "command line: optimizer.step_every=5: expected only with optimizer.schedule = \"step\", found 5");
  EXPECT_EQ(message(kGpt, {"optimizer.milestones=[5]"}),
            "command line: optimizer.milestones=[5]: expected only with optimizer.schedule = \"step\", found [5]");
  EXPECT_EQ(message(kGpt, {"optimizer.schedule=cosine", "optimizer.gamma=0.5"}),
            "command line: optimizer.gamma=0.5: expected only with optimizer.schedule = \"step\", found 0.5");
  EXPECT_EQ(message(kGpt, {"optimizer.schedule=constant", "optimizer.final_lr_fraction=0"}),
            "command line: optimizer.final_lr_fraction=0: expected only with optimizer.schedule = \"linear\" or "
            "\"cosine\", found 0.0");
}

TEST_F(RecipeTest, BadSyntaxIsNamedWithLineAndColumn) {
  EXPECT_EQ(message(replaced(kGpt, "layers = 2", "layers 2")).substr(0, 34), "x.toml:3:8: not valid TOML: Error ");
  EXPECT_EQ(message(replaced(kGpt, "layers = 2", "layers = 2\nlayers = 3")).substr(0, 28),
            "x.toml:4:10: not valid TOML:");
}

TEST_F(RecipeTest, MissingAndEmptyFilesAreNamed) {
  EXPECT_EQ(message(""), "x.toml: is empty; expected the sections [model], [data], [optimizer], [train]");
  EXPECT_EQ(message("# only words\n"), "x.toml: is empty; expected the sections [model], [data], [optimizer], [train]");
  try {
    load_recipe("/absent/x.toml", {});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "/absent/x.toml: cannot read the recipe: No such file or directory");
  }
  try {
    load_recipe(folder_.string(), {});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.what(), folder_.string() + ": is a folder; expected a recipe (a TOML file)");
  }
}

TEST(RecipeSchemaTest, DefaultsLieInTheirOwnRange) {
  Recipe recipe;
  recipe.model.kind = "gpt";  // the kind with defaults that follow from other keys
  recipe.model.heads = recipe.model.width = 1;
  complete(recipe);
  for (const RecipeKey& key : recipe_keys()) {
    if (!key.required) {
      EXPECT_TRUE(accepts(key.domain, key.get(recipe))) << key.full_name();
    }
  }
}

TEST(RecipeSchemaTest, EveryKeyIsThereOnce) {
  std::vector<std::string> names;
  for (const RecipeKey& key : recipe_keys()) names.push_back(key.full_name());
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
}

TEST(RecipeSuggestTest, EditDistanceCountsSwapsAsOne) {
  EXPECT_EQ(edit_distance("", "abc"), 3);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
  EXPECT_EQ(edit_distance("gtp", "gpt"), 1);
  EXPECT_EQ(edit_distance("steps", "steps"), 0);
}

TEST(RecipesTest, EveryShippedRecipeLoads) {
  int recipes = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(CONVOY_SOURCE_DIR) / "recipes")) {
    if (entry.path().extension() != ".toml") continue;
    SCOPED_TRACE(entry.path().string());
    ++recipes;
    EXPECT_NO_THROW(load_recipe(entry.path().string(), {}));
  }
  EXPECT_GE(recipes, 3);
}

TEST_F(RecipeTest, DefaultsFollowFromOtherKeys) {
  const ModelRecipe gpt = load(kGpt).model;
  EXPECT_EQ(gpt.activation, "gelu");
  EXPECT_EQ(gpt.kv_heads, 4);
  EXPECT_EQ(gpt.mlp_width, 512);
  EXPECT_TRUE(gpt.bias);
  EXPECT_EQ(load(kMlp).model.activation, "relu");
  // 8/3 of 128 is 341.3: the next multiple of 64.
  const ModelRecipe gated = load(kGpt, {"model.activation=swiglu", "model.kv_heads=2"}).model;
  EXPECT_EQ(gated.mlp_width, 384);
  EXPECT_EQ(gated.kv_heads, 2);
  EXPECT_EQ(load(kGpt, {"model.activation=swiglu", "model.mlp_width=100"}).model.mlp_width, 100);
}

TEST_F(RecipeTest, TakesTrueAndFalse) {
  EXPECT_FALSE(load(replaced(kGpt, "width = 128", "width = 128\nbias = false")).model.bias);
  const Recipe recipe = load(kGpt, {"model.bias=false"});
  EXPECT_FALSE(recipe.model.bias);
  EXPECT_NE(to_toml(recipe).find("bias = false\n"), std::string::npos);
  EXPECT_EQ(message(kGpt, {"model.bias=1"}), "command line: model.bias=1: expected true or false, found 1");
}

TEST_F(RecipeTest, RefusesPartsOfAGptThatDoNotFit) {
  EXPECT_EQ(message(kGpt, {"model.kv_heads=3"}),
            "command line: model.kv_heads=3: expected a divisor of model.heads = 4, found 3");
  EXPECT_EQ(message(kGpt, {"model.activation=relu"}),
            "command line: model.activation=relu: expected \"gelu\" or \"swiglu\" with model.kind = \"gpt\", found "
            "\"relu\"");
  EXPECT_EQ(message(kMlp, {"model.activation=swiglu"}),
            "command line: model.activation=swiglu: expected \"relu\" or \"gelu\" with model.kind = \"mlp\", found "
            "\"swiglu\"");
  EXPECT_EQ(message(kGpt, {"model.positions=rotary", "model.width=12"}),
            "command line: model.width=12: expected an even multiple of model.heads = 4, whose halves rotary positions "
            "turn, found 12");
}

}  // namespace
}  // namespace convoy
