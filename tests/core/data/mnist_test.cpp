#include "core/data/mnist.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <fstream>
#include <sstream>

#include "core/device/cpu_device.h"
#include "tests/core/data/scratch_folder.h"

namespace convoy {
namespace {

std::string words(std::initializer_list<std::uint32_t> values) {
  std::string bytes;
  for (const std::uint32_t value : values) {
    for (const int shift : {24, 16, 8, 0}) bytes += static_cast<char>(value >> shift & 255);
  }
  return bytes;
}

// `count` pictures: every pixel of picture i is 10·i + `first`, its label i mod 10.
std::string images(std::uint32_t count, int first = 0, std::uint32_t side = 28) {
  std::string bytes = words({0x803, count, side, side});
  for (std::uint32_t i = 0; i < count; ++i)
    bytes += std::string(side * side, static_cast<char>(10 * i + static_cast<std::uint32_t>(first)));
  return bytes;
}
std::string labels(std::uint32_t count) {
  std::string bytes = words({0x801, count});
  for (std::uint32_t i = 0; i < count; ++i) bytes += static_cast<char>(i % 10);
  return bytes;
}

class MnistTest : public testing::Test {
 protected:
  DataRecipe recipe(double eval_fraction = 0.1) const {
    DataRecipe data;
    data.kind = "mnist";
    data.path = folder_.path();
    data.eval_fraction = eval_fraction;
    return data;
  }
  void write_set(const std::string& prefix, std::uint32_t count, int first = 0) {
    folder_.write(prefix + "-images-idx3-ubyte", images(count, first));
    folder_.write(prefix + "-labels-idx1-ubyte", labels(count));
  }
  void write_gz(const std::string& name, const std::string& bytes) {
    gzFile file = gzopen(folder_.path(name).c_str(), "wb");
    ASSERT_EQ(gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())), static_cast<int>(bytes.size()));
    gzclose(file);
  }
  std::string refused() const { return refusal(recipe(), folder_.path()); }

  // The value of the first and last pixel (they are all equal) and the label.
  std::pair<int, int> read(const Dataset& dataset, Split split, std::int64_t sample) {
    const Batch batch = make_batch(dataset, 1, device_);
    dataset.read(split, std::vector<SampleId>{{sample}}, batch);
    const std::vector<float> pixels = batch.inputs.to_vector<float>();
    EXPECT_EQ(pixels.front(), pixels.back());
    return {static_cast<int>(std::lround((pixels[0] * 0.3081 + 0.1307) * 255)),
            batch.targets.to_vector<std::int32_t>()[0]};
  }

  ScratchFolder folder_;
  CpuDevice device_;
};

TEST_F(MnistTest, HoldsOutTheTailOfASingleSet) {
  write_set("t10k", 20);
  const auto dataset = open_dataset(recipe());
  ASSERT_EQ(dataset->size(Split::kTrain), 18);
  ASSERT_EQ(dataset->size(Split::kEval), 2);
  EXPECT_EQ(read(*dataset, Split::kTrain, 0), (std::pair{0, 0}));
  EXPECT_EQ(read(*dataset, Split::kTrain, 17), (std::pair{170, 7}));
  EXPECT_EQ(read(*dataset, Split::kEval, 0), (std::pair{180, 8}));
  EXPECT_EQ(read(*dataset, Split::kEval, 1), (std::pair{190, 9}));
}

TEST_F(MnistTest, HoldsOutTheTestSetBesideATrainingSet) {
  write_set("train", 5);
  write_set("t10k", 3, 100);
  const auto dataset = open_dataset(recipe(0.9));
  ASSERT_EQ(dataset->size(Split::kTrain), 5);
  ASSERT_EQ(dataset->size(Split::kEval), 3);
  EXPECT_EQ(read(*dataset, Split::kTrain, 4), (std::pair{40, 4}));
  EXPECT_EQ(read(*dataset, Split::kEval, 0), (std::pair{100, 0}));
}

TEST_F(MnistTest, GzippedFilesReadTheSame) {
  write_set("train", 20);
  const std::string digest = open_dataset(recipe())->digest();
  std::filesystem::remove(folder_.path("train-images-idx3-ubyte"));
  std::filesystem::remove(folder_.path("train-labels-idx1-ubyte"));
  write_gz("train-images-idx3-ubyte.gz", images(20));
  write_gz("train-labels-idx1-ubyte.gz", labels(20));
  EXPECT_EQ(open_dataset(recipe())->digest(), digest);
}

TEST_F(MnistTest, SaysWhatSamplesLookLikeAndNormalises) {
  write_set("train", 3);
  const auto dataset = open_dataset(recipe());
  EXPECT_EQ(dataset->classes(), 10);
  EXPECT_EQ(dataset->tokens_per_sample(), 0);
  const Batch batch = make_batch(*dataset, 2, device_);
  EXPECT_EQ(batch.inputs.spec().to_string(), "f32[2, 28, 28, 1]");
  EXPECT_EQ(batch.targets.spec().to_string(), "i32[2]");
  dataset->read(Split::kTrain, std::vector<SampleId>{{0}, {-1}}, batch);
  EXPECT_EQ(batch.inputs.to_vector<float>()[0], static_cast<float>((0.0 - 0.1307) / 0.3081));
  EXPECT_EQ(batch.inputs.to_vector<float>()[784], 0.0f);
  EXPECT_EQ(batch.targets.to_vector<std::int32_t>(), (std::vector<std::int32_t>{0, -1}));
}

TEST_F(MnistTest, MissingFilesAreNamed) {
  EXPECT_EQ(refused(),
            "data.path: DIR holds neither train-images-idx3-ubyte and train-labels-idx1-ubyte nor the same with t10k-, "
            "with or without .gz");
  folder_.write("t10k-images-idx3-ubyte", images(3));
  EXPECT_EQ(refused(), "data.path: DIR holds t10k-images-idx3-ubyte but not t10k-labels-idx1-ubyte[.gz]");
  DataRecipe absent = recipe();
  absent.path = folder_.path("absent");
  EXPECT_EQ(refusal(absent, folder_.path()),
            "data.path: DIR/absent: No such file or directory; expected a folder with MNIST's IDX files");
}

TEST_F(MnistTest, DamagedImagesAreNamed) {
  const std::string name = "train-images-idx3-ubyte";
  write_set("train", 3);
  folder_.write(name, "");
  EXPECT_EQ(refused(), "DIR/" + name + ": ends inside its header; expected an IDX file");
  folder_.write(name, labels(3));
  EXPECT_EQ(refused(),
            "DIR/" + name + ": begins with 0x00000801; expected 0x00000803 (IDX, unsigned bytes, 3 dimensions)");
  folder_.write(name, images(3, 0, 27));
  EXPECT_EQ(refused(), "DIR/" + name + ": its pictures have 27 x 27 pixels; expected 28 x 28");
  folder_.write(name, images(3).substr(0, 1000));
  EXPECT_EQ(refused(), "DIR/" + name + ": is cut short after 984 of 2352 bytes of data");
  folder_.write(name, images(3) + "x");
  EXPECT_EQ(refused(), "DIR/" + name + ": goes on after the 2352 bytes of data that its header announces");
  folder_.write(name, words({0x803, 0xffffffff, 28, 28}));
  EXPECT_EQ(refused(), "DIR/" + name + ": is cut short after 0 of 3367254359280 bytes of data");
  folder_.write(name, words({0x803, 0xffffffff, 0xffffffff, 0xffffffff}));
  EXPECT_EQ(refused(), "DIR/" + name + ": the dimensions in its header are too large");
  folder_.write(name, images(4));
  EXPECT_EQ(refused(),
            "DIR/train-labels-idx1-ubyte: holds 3 labels; expected one for each of the 4 pictures in DIR/" + name);
  folder_.write(name, images(0));
  EXPECT_EQ(refused(), "DIR/" + name + ": holds no pictures");
}

TEST_F(MnistTest, DamagedGzipIsNamed) {
  write_set("train", 20);
  std::filesystem::remove(folder_.path("train-images-idx3-ubyte"));
  const std::string name = "train-images-idx3-ubyte.gz";
  std::string noise = words({0x803, 20, 28, 28});
  for (std::uint32_t i = 0; i < 20 * 784; ++i) noise += static_cast<char>(i * i * 2654435761u >> 24);
  write_gz(name, noise);
  std::ifstream file(folder_.path(name), std::ios::binary);
  std::stringstream bytes;
  bytes << file.rdbuf();
  std::string whole = bytes.str();
  folder_.write(name, whole.substr(0, whole.size() / 2));
  EXPECT_EQ(refused(), "DIR/" + name + ": the gzip file is cut short");
  whole[whole.size() - 6] = static_cast<char>(whole[whole.size() - 6] ^ 1);  // in the checksum
  folder_.write(name, whole);
  EXPECT_TRUE(refused().starts_with("DIR/" + name + ": the gzip file is damaged")) << refused();
}

TEST_F(MnistTest, LabelsOutOfRangeAreNamed) {
  write_set("train", 3);
  folder_.write("train-labels-idx1-ubyte", words({0x801, 3}) + std::string("\1\12\2", 3));
  EXPECT_EQ(refused(), "DIR/train-labels-idx1-ubyte: label 1 is 10; expected a digit from 0 to 9");
}

TEST_F(MnistTest, OnePictureIsTooFew) {
  write_set("train", 1);
  EXPECT_EQ(refused(), "data.path: DIR holds 1 picture; expected at least 2");
}

TEST_F(MnistTest, HoldingOutEveryPictureIsRefused) {
  write_set("train", 20);
  EXPECT_EQ(refusal(recipe(0.98), folder_.path()),
            "data.eval_fraction: 0.98 of the 20 pictures in DIR leaves none to train on; expected less");
  EXPECT_EQ(open_dataset(recipe(0.97))->size(Split::kTrain), 1);
}

}  // namespace
}  // namespace convoy
