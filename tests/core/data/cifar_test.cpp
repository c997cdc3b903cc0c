#include "core/data/cifar.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/device/cpu_device.h"
#include "tests/core/data/scratch_folder.h"

namespace convoy {
namespace {

// Labels, then planes of red = value, green = value + 1, blue = value + 2, but for the first pixel, which is black.
std::string record(const std::string& labels, int value) {
  std::string bytes = labels;
  for (int c = 0; c < 3; ++c) bytes += '\0' + std::string(1023, static_cast<char>(value + c));
  return bytes;
}

class CifarTest : public testing::Test {
 protected:
  DataRecipe recipe(const std::string& name = "") const {
    DataRecipe data;
    data.kind = "cifar";
    data.path = folder_.path(name);
    data.eval_fraction = 0.2;
    return data;
  }
  // Batch k holds pictures of value 10·k and 10·k + 5, of class k.
  void write_cifar10(const std::string& folder) {
    for (int k = 1; k <= 5; ++k) {
      const std::string label(1, static_cast<char>(k));
      folder_.write(folder + "data_batch_" + std::to_string(k) + ".bin",
                    record(label, 10 * k) + record(label, 10 * k + 5));
    }
    folder_.write(folder + "test_batch.bin", record("\x9", 100));
  }
  std::string refused() const { return refusal(recipe(), folder_.path()); }

  struct Picture {
    std::vector<float> pixels;  // [32, 32, 3]
    int label;
  };
  Picture read(const Dataset& dataset, Split split, SampleId sample) {
    const Batch batch = make_batch(dataset, 1, device_);
    dataset.read(split, std::vector<SampleId>{sample}, batch);
    return {batch.inputs.to_vector<float>(), batch.targets.to_vector<std::int32_t>()[0]};
  }

  ScratchFolder folder_;
  CpuDevice device_;
};

TEST_F(CifarTest, ReadsCifar10ChannelsLast) {
  write_cifar10("");
  const auto dataset = open_dataset(recipe());
  EXPECT_EQ(dataset->size(Split::kTrain), 10);
  EXPECT_EQ(dataset->size(Split::kEval), 1);
  EXPECT_EQ(dataset->classes(), 10);
  EXPECT_EQ(make_batch(*dataset, 2, device_).inputs.spec().to_string(), "f32[2, 32, 32, 3]");
  const Picture picture = read(*dataset, Split::kTrain, {3});  // the second of data_batch_2
  EXPECT_EQ(picture.label, 2);
  EXPECT_EQ(picture.pixels[0], static_cast<float>((0 - 0.4914) / 0.2470));
  EXPECT_EQ(picture.pixels[3], static_cast<float>((25 / 255.0 - 0.4914) / 0.2470));
  EXPECT_EQ(picture.pixels[4], static_cast<float>((26 / 255.0 - 0.4822) / 0.2435));
  EXPECT_EQ(picture.pixels[5], static_cast<float>((27 / 255.0 - 0.4465) / 0.2616));
  EXPECT_EQ(read(*dataset, Split::kEval, {0}).label, 9);
}

TEST_F(CifarTest, FindsTheFolderOfTheArchive) {
  write_cifar10("cifar-10-batches-bin/");
  const std::string digest = open_dataset(recipe())->digest();
  EXPECT_EQ(open_dataset(recipe("cifar-10-batches-bin"))->digest(), digest);
}

TEST_F(CifarTest, ReadsTheFineLabelsOfCifar100) {
  folder_.write("cifar-100-binary/train.bin", record("\x01\x63", 10) + record("\x13\x02", 20));
  folder_.write("cifar-100-binary/test.bin", record("\x05\x07", 30));
  const auto dataset = open_dataset(recipe());
  EXPECT_EQ(dataset->classes(), 100);
  const Picture picture = read(*dataset, Split::kTrain, {0});
  EXPECT_EQ(picture.label, 99);
  EXPECT_EQ(picture.pixels[3], static_cast<float>((10 / 255.0 - 0.5071) / 0.2673));
  EXPECT_EQ(read(*dataset, Split::kEval, {0}).label, 7);
}

TEST_F(CifarTest, HoldsOutTheTailWithoutATestFile) {
  write_cifar10("");
  std::filesystem::remove(folder_.path("test_batch.bin"));
  const auto dataset = open_dataset(recipe());
  ASSERT_EQ(dataset->size(Split::kTrain), 8);
  ASSERT_EQ(dataset->size(Split::kEval), 2);
  EXPECT_EQ(read(*dataset, Split::kEval, {1}).label, 5);
}

TEST_F(CifarTest, AugmentsTrainingPicturesByEpochOnly) {
  write_cifar10("");
  DataRecipe data = recipe();
  const auto plain = open_dataset(data, 7);
  data.augment = "crop-flip";
  const auto dataset = open_dataset(data, 7);
  EXPECT_EQ(read(*dataset, Split::kTrain, {4, 1}).pixels, read(*open_dataset(data, 7), Split::kTrain, {4, 1}).pixels);
  int differ = 0;
  for (std::int64_t epoch = 1; epoch <= 8; ++epoch)
    differ += read(*dataset, Split::kTrain, {4, epoch}).pixels != read(*dataset, Split::kTrain, {4, 0}).pixels;
  EXPECT_GE(differ, 7);
  EXPECT_EQ(read(*dataset, Split::kEval, {0, 3}).pixels, read(*plain, Split::kEval, {0}).pixels);
}

TEST_F(CifarTest, WrongFilesAreNamed) {
  EXPECT_EQ(refused(),
            "data.path: DIR holds neither data_batch_1.bin (CIFAR-10) nor train.bin (CIFAR-100); expected the binary "
            "version");
  write_cifar10("");
  folder_.write("data_batch_2.bin", record("\x1", 1).substr(1));
  EXPECT_EQ(refused(), "DIR/data_batch_2.bin: has 3072 bytes; expected a multiple of 3073, one picture each");
  folder_.write("data_batch_2.bin", record("\x1", 1) + record("\xa", 1));
  EXPECT_EQ(refused(), "DIR/data_batch_2.bin: label 1 is 10; expected a class from 0 to 9");
  std::filesystem::remove(folder_.path("data_batch_2.bin"));
  EXPECT_EQ(refused(), "DIR/data_batch_2.bin: cannot open: No such file or directory");
  folder_.write("train.bin", record("\x1\x1", 1));
  EXPECT_EQ(refused(),
            "data.path: DIR holds CIFAR-10 (data_batch_1.bin) and CIFAR-100 (train.bin); expected one of them");
}

}  // namespace
}  // namespace convoy
