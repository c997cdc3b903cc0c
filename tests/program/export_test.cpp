// `convoy export`: which checkpoint it takes, what it says, and what it leaves when it cannot. (What the models
// compute: onnx/onnx_test.py.)
#include <gtest/gtest.h>

#include "tests/program/program_run.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

class ExportTest : public testing::Test {
 protected:
  void train(const std::string& recipe) {
    ASSERT_EQ(run_.run({"train", recipe, "--run", "out", "checkpoint.every=2"}), 0) << run_.errors();
  }
  void expect_refused(const std::vector<std::string>& words, int exit_code, const std::string& message) {
    EXPECT_EQ(run_.run(words), exit_code);
    EXPECT_EQ(run_.message(), "convoy: " + message + "\n");
    for (const auto& entry : fs::recursive_directory_iterator(run_.folder()))
      EXPECT_EQ(entry.path().filename().string().find("onnx"), std::string::npos) << entry.path();
  }

  ProgramRun run_;
};

TEST_F(ExportTest, TakesTheNewestCheckpointOrTheOneThatIsNamed) {
  train("gpt.toml");
  ASSERT_EQ(run_.run({"export", "out", "--onnx", "newest.onnx"}), 0) << run_.errors();
  EXPECT_TRUE(
      run_.output().starts_with("newest.onnx: out/checkpoints/step-5 as ONNX, opset 17: "
                                "input i64[batch, sequence] -> logits f32[batch, sequence, 256]; "))
      << run_.output();
  ASSERT_EQ(run_.run({"export", "out/checkpoints/step-5", "--onnx", "named.onnx"}), 0) << run_.errors();
  EXPECT_EQ(run_.read("named.onnx"), run_.read("newest.onnx"));
  ASSERT_EQ(run_.run({"export", "out/checkpoints/step-4", "--onnx", "named.onnx"}), 0) << run_.errors();
  EXPECT_NE(run_.read("named.onnx"), run_.read("newest.onnx"));
}

TEST_F(ExportTest, TextsOfOneLengthHaveAFixedLength) {
  ASSERT_EQ(run_.run({"train", "gpt.toml", "--run", "out", "data.context=2"}), 0) << run_.errors();
  ASSERT_EQ(run_.run({"export", "out", "--onnx", "gpt.onnx"}), 0) << run_.errors();
  EXPECT_NE(run_.output().find("input i64[batch, 2] -> logits f32[batch, 2, 256]"), std::string::npos) << run_.output();
}

TEST_F(ExportTest, DataMayHaveMoved) {
  train("mlp.toml");
  fs::rename(run_.folder() / "digits", run_.folder() / "elsewhere");
  ASSERT_EQ(run_.run({"export", "out", "--onnx", "mlp.onnx", "data.path=elsewhere"}), 0) << run_.errors();
  EXPECT_NE(run_.output().find("input f32[batch, 28, 28, 1] -> logits f32[batch, 10]"), std::string::npos)
      << run_.output();
}

TEST_F(ExportTest, WhatCannotBeExportedLeavesNothing) {
  expect_refused({"export", "out"}, 2, "convoy export: --onnx is required (see convoy export --help)");
  expect_refused({"export", "out", "--onnx", ""}, 2,
                 "convoy export: --onnx '': expected the name of the file to write");
  expect_refused({"export", "nowhere", "--onnx", "gpt.onnx"}, 2,
                 "nowhere: expected a checkpoint, or a run directory with one in checkpoints/");
  train("gpt.toml");
  expect_refused({"export", "out", "--onnx", "gpt.onnx", "model.width=32"}, 2,
                 "command line: model.width=32: expected 16, with which the checkpoint was trained; an export may "
                 "change data.path, data.threads, data.prefetch, train.threads, train.device, train.graph, "
                 "train.recompute");
  expect_refused({"export", "out", "--onnx", "missing/gpt.o"}, 1,
                 "missing/gpt.o: cannot create: No such file or directory");
}

TEST_F(ExportTest, DamageIsToldAndAnOlderCheckpointTaken) {
  train("gpt.toml");
  fs::resize_file(run_.folder() / "out/checkpoints/step-5/parameters.safetensors", 100);
  ASSERT_EQ(run_.run({"export", "out", "--onnx", "gpt.onnx"}), 0) << run_.errors();
  EXPECT_TRUE(run_.output().starts_with("gpt.onnx: out/checkpoints/step-4 as ONNX")) << run_.output();
  EXPECT_NE(run_.errors().find("step-5/parameters.safetensors"), std::string::npos) << run_.errors();
}

}  // namespace
}  // namespace convoy
