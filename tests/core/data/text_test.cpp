#include "core/data/text.h"

#include <gtest/gtest.h>

#include "core/device/cpu_device.h"
#include "tests/core/data/scratch_folder.h"

namespace convoy {
namespace {

class TextTest : public testing::Test {
 protected:
  DataRecipe recipe(const std::string& name, std::int64_t context, double eval_fraction = 0.1) const {
    DataRecipe data;
    data.kind = "text";
    data.path = folder_.path(name);
    data.context = context;
    data.eval_fraction = eval_fraction;
    return data;
  }

  // One sample as text, '.' for a token or target that is padding.
  struct Sample {
    std::string inputs, targets;
    bool operator==(const Sample&) const = default;
  };
  Sample read(const Dataset& dataset, Split split, std::int64_t sample) {
    const Batch batch = make_batch(dataset, 1, device_);
    dataset.read(split, std::vector<SampleId>{{sample}}, batch);
    Sample text;
    for (const int token : batch.inputs.to_vector<std::int32_t>())
      text.inputs += token == 0 ? '.' : static_cast<char>(token);
    for (const int token : batch.targets.to_vector<std::int32_t>())
      text.targets += token < 0 ? '.' : static_cast<char>(token);
    return text;
  }
  // The whole data set, through the held-out windows of context 1.
  std::string all(const std::string& name) {
    const auto dataset = open_dataset(recipe(name, 1, 0.5));
    std::string text = read(*dataset, Split::kTrain, 0).inputs;
    for (const Split split : {Split::kTrain, Split::kEval}) {
      for (std::int64_t i = 0; i < dataset->size(split); ++i) text += read(*dataset, split, i).targets;
    }
    return text;
  }

  ScratchFolder folder_;
  CpuDevice device_;
};

TEST_F(TextTest, WindowsLieSideBySideAndEveryHeldOutByteIsPredictedOnce) {
  folder_.write("a", "abcdefghijklmnopqrstuvwxyz");
  const auto dataset = open_dataset(recipe("a", 4, 0.25));  // 6.5, so the last 7 are held out
  ASSERT_EQ(dataset->size(Split::kTrain), 4);
  EXPECT_EQ(read(*dataset, Split::kTrain, 0), (Sample{"abcd", "bcde"}));
  EXPECT_EQ(read(*dataset, Split::kTrain, 1), (Sample{"efgh", "fghi"}));
  EXPECT_EQ(read(*dataset, Split::kTrain, 3), (Sample{"mnop", "nopq"}));  // "rs" fills no window
  ASSERT_EQ(dataset->size(Split::kEval), 2);
  EXPECT_EQ(read(*dataset, Split::kEval, 0), (Sample{"stuv", "tuvw"}));
  EXPECT_EQ(read(*dataset, Split::kEval, 1), (Sample{"wxy.", "xyz."}));
}

TEST_F(TextTest, NoTrainingTargetIsHeldOut) {
  folder_.write("a", "abcdefghij");
  const auto dataset = open_dataset(recipe("a", 4, 0.2));  // trains on the 8 bytes a to h
  ASSERT_EQ(dataset->size(Split::kTrain), 1);              // the second window's last target would be i
  EXPECT_EQ(read(*dataset, Split::kTrain, 0), (Sample{"abcd", "bcde"}));
  EXPECT_EQ(read(*dataset, Split::kEval, 0), (Sample{"hi..", "ij.."}));
}

TEST_F(TextTest, SaysWhatSamplesLookLike) {
  folder_.write("a", std::string(100, 'x'));
  const auto dataset = open_dataset(recipe("a", 8));
  EXPECT_EQ(dataset->classes(), 256);
  EXPECT_EQ(dataset->tokens_per_sample(), 8);
  const Batch batch = make_batch(*dataset, 3, device_);
  EXPECT_EQ(batch.inputs.spec().to_string(), "i32[3, 8]");
  EXPECT_EQ(batch.targets.spec().to_string(), "i32[3, 8]");
}

TEST_F(TextTest, BytesAreTokensFrom0To255) {
  folder_.write("a", "\xff\xfe\x01 plain");
  const auto dataset = open_dataset(recipe("a", 2));
  const Batch batch = make_batch(*dataset, 1, device_);
  dataset->read(Split::kTrain, std::vector<SampleId>{{0}}, batch);
  EXPECT_EQ(batch.inputs.to_vector<std::int32_t>(), (std::vector<std::int32_t>{255, 254}));
  EXPECT_EQ(batch.targets.to_vector<std::int32_t>(), (std::vector<std::int32_t>{254, 1}));
}

TEST_F(TextTest, PaddingSamplesAreNotCounted) {
  folder_.write("a", "abcdefghijklmnopqrstuvwxyz");
  const auto dataset = open_dataset(recipe("a", 4));
  const Batch batch = make_batch(*dataset, 2, device_);
  dataset->read(Split::kTrain, std::vector<SampleId>{{-1}, {1}}, batch);
  EXPECT_EQ(batch.inputs.to_vector<std::int32_t>(), (std::vector<std::int32_t>{0, 0, 0, 0, 'e', 'f', 'g', 'h'}));
  EXPECT_EQ(batch.targets.to_vector<std::int32_t>(), (std::vector<std::int32_t>{-1, -1, -1, -1, 'f', 'g', 'h', 'i'}));
}

TEST_F(TextTest, FolderIsItsTextFilesInPathOrder) {
  folder_.write("f/b", "BBB");
  folder_.write("f/a/z", "ZZ");
  folder_.write("f/a.txt", "A");
  folder_.write("f/c", "C");
  folder_.write("f/empty", "");
  folder_.write("f/c.dat", std::string("\0\0\0\2index", 9));
  folder_.write("f/.hidden", "no");
  folder_.write("f/.git/object", "no");
  std::filesystem::create_symlink("c", folder_.path("f/c.u8"));
  EXPECT_EQ(all("f"), "ZZABBBC");
  std::filesystem::create_symlink("f", folder_.path("link"));  // the path itself may be a link
  EXPECT_EQ(all("link"), "ZZABBBC");
}

TEST_F(TextTest, DigestChangesWithTheText) {
  folder_.write("a", "one two three");
  folder_.write("b", "one two thre3");
  folder_.write("f/1", "one ");
  folder_.write("f/2", "two three");
  const std::string digest = open_dataset(recipe("a", 2))->digest();
  EXPECT_EQ(digest.size(), 32u);
  EXPECT_NE(open_dataset(recipe("b", 2))->digest(), digest);
  EXPECT_EQ(open_dataset(recipe("f", 2))->digest(), digest);
}

TEST_F(TextTest, SamplesAndTensorsThatDoNotFitAreRefused) {
  folder_.write("a", std::string(100, 'x'));
  const auto dataset = open_dataset(recipe("a", 8));
  const Batch batch = make_batch(*dataset, 1, device_);
  EXPECT_THROW(dataset->read(Split::kTrain, std::vector<SampleId>{{dataset->size(Split::kTrain)}}, batch), Error);
  EXPECT_THROW(dataset->read(Split::kTrain, std::vector<SampleId>{{-2}}, batch), Error);
  EXPECT_THROW(dataset->read(Split::kTrain, std::vector<SampleId>{{0}, {1}}, batch), Error);
  EXPECT_THROW(dataset->read(Split::kTrain, std::vector<SampleId>{{0}},
                             {batch.inputs, Tensor::zeros({DType::kI64, {1, 8}, &device_})}),
               Error);
}

TEST_F(TextTest, WrongDataIsNamed) {
  EXPECT_EQ(refusal(recipe("absent", 4), folder_.path()),
            "data.path: DIR/absent: cannot open: No such file or directory");
  folder_.write("empty", "");
  EXPECT_EQ(refusal(recipe("empty", 4), folder_.path()), "data.path: DIR/empty is empty; expected text");
  folder_.write("f/index.dat", std::string(3, '\0'));
  EXPECT_EQ(refusal(recipe("f", 4), folder_.path()),
            "data.path: DIR/f holds no text files (links, hidden and binary files do not count)");
}

TEST_F(TextTest, ContextLongerThanTheTextIsRefusedWithWhatWouldDo) {
  folder_.write("short", std::string(71, 'x'));
  EXPECT_EQ(refusal(recipe("short", 64), folder_.path()),
            "data.context: a context of 64 needs at least 72 bytes with 0.1 of them held out; DIR/short holds 71");
  folder_.write("enough", std::string(72, 'x'));
  EXPECT_EQ(open_dataset(recipe("enough", 64))->size(Split::kTrain), 1);
}

TEST_F(TextTest, WhatWouldDoIsTheFewestBytesThatAreAccepted) {
  folder_.write("short", "x");
  for (const double fraction : {0.001, 0.1, 0.25, 0.3, 0.5, 0.75, 0.9}) {
    for (const std::int64_t context : {1, 2, 3, 7, 10, 32, 100}) {
      const std::string text = refusal(recipe("short", context, fraction), folder_.path());
      const int least = std::stoi(text.substr(text.find("at least ") + 9));
      folder_.write("few", std::string(static_cast<std::size_t>(least - 1), 'x'));
      EXPECT_NE(refusal(recipe("few", context, fraction), folder_.path()), "no error") << text;
      folder_.write("enough", std::string(static_cast<std::size_t>(least), 'x'));
      EXPECT_GE(open_dataset(recipe("enough", context, fraction))->size(Split::kTrain), 1) << text;
    }
  }
}

TEST_F(TextTest, ExtremeContextsAreRefusedAtOnce) {
  folder_.write("short", "x");
  EXPECT_EQ(refusal(recipe("short", 1'000'000, 0.9999990463256836), folder_.path()),
            "data.context: a context of 1000000 needs at least 1048576524289 bytes with 0.9999990463256836 of them "
            "held out; DIR/short holds 1");
}

}  // namespace
}  // namespace convoy
