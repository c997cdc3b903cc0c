#include "core/data/tokens.h"

#include <gtest/gtest.h>

#include "core/device/cpu_device.h"
#include "tests/core/data/scratch_folder.h"

namespace convoy {
namespace {

using Tokens = std::vector<std::int32_t>;

std::string little_endian(std::initializer_list<std::uint32_t> values, int width) {
  std::string bytes;
  for (const std::uint32_t value : values) {
    for (int i = 0; i < width; ++i) bytes += static_cast<char>(value >> (8 * i) & 255);
  }
  return bytes;
}
std::string plain(std::initializer_list<std::uint32_t> tokens) { return little_endian(tokens, 2); }
std::string with_header(std::uint32_t magic, std::uint32_t version, std::initializer_list<std::uint32_t> tokens,
                        int width) {
  std::string bytes = little_endian({magic, version, static_cast<std::uint32_t>(tokens.size())}, 4);
  bytes.resize(1024);
  return bytes + little_endian(tokens, width);
}

class TokensTest : public testing::Test {
 protected:
  DataRecipe recipe(const std::string& name, std::int64_t context = 2, std::int64_t vocabulary = 1000) const {
    DataRecipe data;
    data.kind = "tokens";
    data.path = folder_.path(name);
    data.context = context;
    data.vocabulary = vocabulary;
    return data;
  }
  struct Sample {
    Tokens inputs, targets;
    bool operator==(const Sample&) const = default;
  };
  Sample read(const Dataset& dataset, Split split, std::int64_t sample) {
    const Batch batch = make_batch(dataset, 1, device_);
    dataset.read(split, std::vector<SampleId>{{sample}}, batch);
    return {batch.inputs.to_vector<std::int32_t>(), batch.targets.to_vector<std::int32_t>()};
  }
  std::string refused(const DataRecipe& data) const { return refusal(data, folder_.path()); }

  ScratchFolder folder_;
  CpuDevice device_;
};

TEST_F(TokensTest, HeaderlessFileIsSixteenBitNumbers) {
  folder_.write("a.bin", plain({1, 2, 300, 4, 5, 6, 7, 8, 9, 999}));
  const auto dataset = open_dataset(recipe("a.bin"));
  EXPECT_EQ(dataset->classes(), 1000);
  EXPECT_EQ(dataset->tokens_per_sample(), 2);
  ASSERT_EQ(dataset->size(Split::kTrain), 4);
  EXPECT_EQ(read(*dataset, Split::kTrain, 1), (Sample{{300, 4}, {4, 5}}));
  ASSERT_EQ(dataset->size(Split::kEval), 1);
  EXPECT_EQ(read(*dataset, Split::kEval, 0), (Sample{{9, 0}, {999, -1}}));
}

TEST_F(TokensTest, HeadersTellWidthAndVocabulary) {
  folder_.write("gpt.bin", with_header(20240520, 1, {1, 2, 50256, 4, 5}, 2));
  const auto gpt = open_dataset(recipe("gpt.bin", 2, 0));
  EXPECT_EQ(gpt->classes(), 50257);
  EXPECT_EQ(read(*gpt, Split::kTrain, 0), (Sample{{1, 2}, {2, 50256}}));
  folder_.write("llama.bin", with_header(20240801, 7, {1, 128255, 3, 4, 5}, 4));
  const auto llama = open_dataset(recipe("llama.bin", 2, 0));
  EXPECT_EQ(llama->classes(), 128256);
  EXPECT_EQ(read(*llama, Split::kTrain, 0), (Sample{{1, 128255}, {128255, 3}}));
  EXPECT_EQ(open_dataset(recipe("gpt.bin", 2, 50304))->classes(), 50304);  // rounded up for the sake of speed
}

TEST_F(TokensTest, FolderWithTrainAndValHoldsOutVal) {
  folder_.write("d/train.bin", plain({1, 2, 3, 4, 5}));
  folder_.write("d/val.bin", plain({11, 12, 13, 14}));
  folder_.write("d/other.bin", plain({700}));
  const auto dataset = open_dataset(recipe("d"));
  ASSERT_EQ(dataset->size(Split::kTrain), 2);
  EXPECT_EQ(read(*dataset, Split::kTrain, 1), (Sample{{3, 4}, {4, 5}}));
  ASSERT_EQ(dataset->size(Split::kEval), 2);  // the first token follows on nothing
  EXPECT_EQ(read(*dataset, Split::kEval, 0), (Sample{{11, 12}, {12, 13}}));
  EXPECT_EQ(read(*dataset, Split::kEval, 1), (Sample{{13, 0}, {14, -1}}));
}

TEST_F(TokensTest, ShardsAreOneSequenceInTheOrderOfTheirNames) {
  folder_.write("web_val_000000.bin", with_header(20240520, 1, {8, 9}, 2));
  folder_.write("web_train_000002.bin", with_header(20240520, 1, {4, 5, 6}, 2));
  folder_.write("web_train_000001.bin", with_header(20240520, 1, {1, 2, 3}, 2));
  folder_.write("unlike.bin", "x");
  const auto dataset = open_dataset(recipe("web_*_*.bin"));
  ASSERT_EQ(dataset->size(Split::kTrain), 2);
  EXPECT_EQ(read(*dataset, Split::kTrain, 1), (Sample{{3, 4}, {4, 5}}));
  EXPECT_EQ(read(*dataset, Split::kEval, 0), (Sample{{8, 0}, {9, -1}}));
  const auto one = open_dataset(recipe("web_train_*.bin"));  // all train: the tail is held out
  EXPECT_EQ(read(*one, Split::kEval, 0), (Sample{{5, 0}, {6, -1}}));
}

TEST_F(TokensTest, DigestChangesWithTheTokens) {
  folder_.write("a.bin", plain({1, 2, 3, 4, 5}));
  folder_.write("b.bin", plain({1, 2, 3, 4, 6}));
  EXPECT_NE(open_dataset(recipe("a.bin"))->digest(), open_dataset(recipe("b.bin"))->digest());
}

TEST_F(TokensTest, TokensOutsideTheVocabularyAreNamed) {
  folder_.write("a.bin", plain({1, 2, 3, 1000, 5}));
  EXPECT_EQ(refused(recipe("a.bin")),
            "DIR/a.bin: token 3 (at byte 6) is 1000; expected less than the vocabulary of 1000");
  folder_.write("b.bin", with_header(20240801, 7, {1, 2, 3, 0xffffffff, 5}, 4));
  EXPECT_EQ(refused(recipe("b.bin", 2, 0)),
            "DIR/b.bin: token 3 (at byte 1036) is 4294967295; expected less than the vocabulary of 128256");
}

TEST_F(TokensTest, WrongFilesAreNamed) {
  EXPECT_EQ(refused(recipe("absent.bin")), "data.path: DIR/absent.bin: No such file or directory");
  EXPECT_EQ(refused(recipe("absent-*.bin")), "data.path: DIR/absent-*.bin matches no file; expected token files");
  folder_.write("d/readme.txt", "x");
  EXPECT_EQ(refused(recipe("d")), "data.path: DIR/d holds no .bin files");
  folder_.write("odd.bin", "abc");
  EXPECT_EQ(refused(recipe("odd.bin")),
            "DIR/odd.bin: has 3 bytes; expected an even number (16-bit tokens) or a header of llm.c");
  folder_.write("old.bin", with_header(20240520, 3, {1, 2}, 2));
  EXPECT_EQ(refused(recipe("old.bin")), "DIR/old.bin: is a token file of version 3; expected version 1");
  folder_.write("torn.bin", with_header(20240520, 1, {1, 2}, 2).substr(0, 1026));
  EXPECT_EQ(refused(recipe("torn.bin")),
            "DIR/torn.bin: has 1026 bytes; expected 1028 for the 2 tokens that its header announces");
  folder_.write("a.bin", plain({1, 2, 3, 4, 5}));
  EXPECT_EQ(refused(recipe("a.bin", 2, 0)),
            "data.vocabulary: DIR/a.bin has no header that tells it; expected the number of tokens there are (50257 "
            "for GPT-2)");
  folder_.write("m/1.bin", with_header(20240520, 1, {1, 2, 3}, 2));
  folder_.write("m/2.bin", with_header(20240801, 7, {1, 2, 3}, 4));
  EXPECT_EQ(refused(recipe("m", 2, 0)),
            "DIR/m/2.bin: holds tokens of a vocabulary of 128256; expected 50257, as in DIR/m/1.bin");
}

TEST_F(TokensTest, TooFewTokensAreRefused) {
  folder_.write("a.bin", plain({1, 2, 3}));
  EXPECT_EQ(refused(recipe("a.bin", 2)),
            "data.context: a context of 2 needs at least 4 tokens with 0.1 of them held out; DIR/a.bin holds 3");
  folder_.write("d/train.bin", plain({1, 2}));
  folder_.write("d/val.bin", plain({1}));
  EXPECT_EQ(refused(recipe("d", 2)), "data.context: a context of 2 needs at least 3 tokens to train on; DIR/d holds 2");
  EXPECT_EQ(refused(recipe("d", 1)), "DIR/d/val.bin: expected at least 2 held-out tokens, found 1");
}

}  // namespace
}  // namespace convoy
