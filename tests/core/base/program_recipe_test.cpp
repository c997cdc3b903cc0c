// Recipes of programs built on the library: their own keys in [model] and [data].
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/recipe.h"
#include "core/base/uuid.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

const ProgramRecipe kProgram{.name = "spirals",
                             .text = R"([model]
width = 32
blocks = [2, 3]
[data]
noise = 0.25
path = "points"
label = "xor"
[optimizer]
kind = "adamw"
lr = 1e-2
beta1 = 0.8
[train]
steps = 7
global_batch = 16
)",
                             .own_model = true,
                             .own_data = true};

class ProgramRecipeTest : public testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder_); }
  void TearDown() override { fs::remove_all(folder_); }

  std::string write(const std::string& text) const {
    const fs::path path = folder_ / "x.toml";
    std::ofstream(path, std::ios::binary) << text;
    return path.string();
  }
  static std::string message(const std::string& path, const std::vector<std::string>& overrides,
                             const ProgramRecipe& program = kProgram) {
    try {
      load_recipe(path, overrides, program);
    } catch (const Error& error) {
      const std::string what = error.what();
      return what.substr(what.rfind('/') == std::string::npos ? 0 : what.rfind('/') + 1);
    }
    return "no error";
  }

  const fs::path folder_ = fs::temp_directory_path() / ("convoy-program-recipe-" + random_hex(8));
};

TEST_F(ProgramRecipeTest, StartsFromTheProgramsValues) {
  const Recipe recipe = load_recipe("", {}, kProgram);
  EXPECT_EQ(recipe.model.kind, "custom");
  EXPECT_EQ(recipe.data.kind, "custom");
  EXPECT_EQ(recipe.integer("model.width"), 32);
  EXPECT_EQ(recipe.integers("model.blocks"), (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(recipe.number("data.noise"), 0.25);
  EXPECT_EQ(recipe.number("model.width"), 32.0) << "an integer is a number too";
  EXPECT_EQ(recipe.text("data.label"), "xor");
  EXPECT_EQ(recipe.train.steps, 7);
}

TEST_F(ProgramRecipeTest, KeepsTrueAndFalse) {
  ProgramRecipe program = kProgram;
  program.text.insert(program.text.find("width"), "tied = true\n");
  EXPECT_TRUE(load_recipe("", {}, program).flag("model.tied"));
  const std::vector<std::string> overrides{"model.tied=false"};
  const Recipe recipe = load_recipe("", overrides, program);
  EXPECT_FALSE(recipe.flag("model.tied"));
  EXPECT_NE(to_toml(recipe).find("tied = false\n"), std::string::npos);
}

TEST_F(ProgramRecipeTest, FileAndCommandLineReplaceValues) {
  const std::string file = write("[model]\nwidth = 48\n[data]\npath = \"mine\"\n[train]\nsteps = 9\n");
  const std::vector<std::string> overrides{"data.noise=1", "data.label=ring", "model.blocks=[1]"};
  const Recipe recipe = load_recipe(file, overrides, kProgram);
  EXPECT_EQ(recipe.integer("model.width"), 48);
  EXPECT_EQ(recipe.integers("model.blocks"), std::vector<std::int64_t>{1});
  EXPECT_EQ(recipe.number("data.noise"), 1.0);
  EXPECT_EQ(recipe.text("data.label"), "ring");
  EXPECT_EQ(recipe.train.steps, 9);
  EXPECT_EQ(recipe.optimizer.lr, 1e-2) << "what the file does not say is the program's";
}

TEST_F(ProgramRecipeTest, PathsAreRelativeToWhereTheyStand) {
  const std::string file = write("[data]\npath = \"mine\"\n");
  EXPECT_EQ(load_recipe(file, {}, kProgram).text("data.path"), folder_ / "mine");
  EXPECT_EQ(load_recipe("", {}, kProgram).text("data.path"), fs::current_path() / "points");
}

TEST_F(ProgramRecipeTest, WhatIsWrittenReadsBackToTheSame) {
  const Recipe recipe = load_recipe("", std::vector<std::string>{"model.width=5"}, kProgram);
  const std::string text = to_toml(recipe);
  EXPECT_TRUE(text.starts_with("[model]\nkind = \"custom\"\nwidth = 5\nblocks = [2, 3]\n\n[data]\nkind = \"custom\"\n"))
      << text;
  EXPECT_EQ(load_recipe(write(text), {}, kProgram), recipe);
}

TEST_F(ProgramRecipeTest, WithoutPlacesThePathIsNotCompared) {
  const Recipe here = load_recipe("", std::vector<std::string>{"data.path=a"}, kProgram);
  const Recipe there = load_recipe("", std::vector<std::string>{"data.path=b"}, kProgram);
  EXPECT_NE(here, there);
  EXPECT_EQ(without_places(here), without_places(there));
}

TEST_F(ProgramRecipeTest, RefusesWhatTheProgramDoesNotKnow) {
  EXPECT_EQ(message(write("[model]\nwidht = 3\n"), {}),
            "x.toml:2: model.widht: unknown key; did you mean model.width?");
  EXPECT_EQ(message(write("[model]\nwidth = 3.5\n"), {}), "x.toml:2: model.width: expected an integer, found 3.5");
  EXPECT_EQ(message("", {"data.noise=much"}), "command line: data.noise=much: expected a number, found much");
  EXPECT_EQ(message("", {"model.layers=2"}),
            "command line: model.layers=2: unknown key; model has kind, width, blocks");
  EXPECT_EQ(message(write("[model]\nkind = \"gpt\"\n"), {}),
            "x.toml:2: model.kind: expected \"custom\", found \"gpt\"");
  EXPECT_EQ(message("", {"train.steps=0"}), "command line: train.steps=0: expected an integer >= 1, found 0");
}

TEST_F(ProgramRecipeTest, ConvoyItselfRefusesSuchARecipe) {
  const std::string file = write(to_toml(load_recipe("", {}, kProgram)));
  EXPECT_EQ(message(file, {}, {}),
            "x.toml:6: [data] is of kind \"custom\", a program's own: run this recipe with that program");
}

TEST_F(ProgramRecipeTest, AnotherKindLetsGoOfTheProgramsKeys) {
  ProgramRecipe program = kProgram;
  program.own_model = false;
  program.text.replace(0, program.text.find("[data]"), "[model]\nkind = \"mlp\"\nhidden = [4]\n");
  const Recipe recipe = load_recipe(write("[model]\nkind = \"gpt\"\nlayers = 1\nheads = 1\nwidth = 4\n"), {}, program);
  EXPECT_EQ(recipe.model.kind, "gpt");
  EXPECT_TRUE(recipe.model.hidden.empty());
}

TEST_F(ProgramRecipeTest, ReadingAKeyThatIsNotThereNamesIt) {
  const Recipe recipe = load_recipe("", {}, kProgram);
  EXPECT_THROW(recipe.integer("model.depth"), Error);
  EXPECT_THROW(recipe.integer("data.label"), Error);
}

}  // namespace
}  // namespace convoy
