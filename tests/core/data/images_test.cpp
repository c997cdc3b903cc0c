#include "core/data/images.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "core/device/cpu_device.h"
#include "tests/core/data/scratch_folder.h"
#include "tests/support/picture_files.h"

namespace convoy {
namespace {

using testing_support::cmyk_jpeg_of;
using testing_support::jpeg_of;
using testing_support::plain_picture;
using testing_support::png_of;
using testing_support::TestPicture;

class ImagesTest : public testing::Test {
 protected:
  DataRecipe recipe(std::int64_t image_size = 0, double eval_fraction = 0.25) const {
    DataRecipe data;
    data.kind = "images";
    data.path = folder_.path();
    data.image_size = image_size;
    data.eval_fraction = eval_fraction;
    return data;
  }
  std::string refused(std::int64_t image_size = 0) const { return refusal(recipe(image_size), folder_.path()); }

  struct Picture {
    std::vector<std::uint8_t> pixels;  // [height, width, 3], normalisation undone
    int label;
  };
  Picture read(const Dataset& dataset, Split split, SampleId sample) {
    const Batch batch = make_batch(dataset, 1, device_);
    dataset.read(split, std::vector<SampleId>{sample}, batch);
    constexpr std::array<double, 3> kMeans{0.485, 0.456, 0.406};
    constexpr std::array<double, 3> kDeviations{0.229, 0.224, 0.225};
    Picture picture{.pixels = {}, .label = batch.targets.to_vector<std::int32_t>()[0]};
    const std::vector<float> values = batch.inputs.to_vector<float>();
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double value = 255.0 * (static_cast<double>(values[i]) * kDeviations[i % 3] + kMeans[i % 3]);
      picture.pixels.push_back(static_cast<std::uint8_t>(std::lround(value)));
    }
    return picture;
  }
  std::vector<std::uint8_t> first_pixel(const Picture& picture) const {
    return {picture.pixels.begin(), picture.pixels.begin() + 3};
  }
  // Two classes, so that one file may be what a test is about.
  void write_pair(const std::string& name, const std::string& bytes, int height, int width) const {
    folder_.write("a/" + name, bytes);
    folder_.write("b/1.png", png_of(plain_picture(height, width, {9, 9, 9})));
    folder_.write("b/2.png", png_of(plain_picture(height, width, {9, 9, 9})));
  }
  // Reds rise to the right, greens downwards.
  static TestPicture gradient(int height, int width) {
    TestPicture picture{.height = height, .width = width, .channels = 3, .pixels = {}};
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) {
        for (const int value : {x * 255 / (width - 1), y * 255 / (height - 1), 40})
          picture.pixels.push_back(static_cast<std::uint8_t>(value));
      }
    }
    return picture;
  }

  ScratchFolder folder_;
  CpuDevice device_;
};

TEST_F(ImagesTest, ClassesAndPicturesComeInTheByteOrderOfTheirNames) {
  for (const auto& [name, value] :
       {std::pair{"b/1.png", 1}, {"b/0.PNG", 2}, {"a/z.png", 3}, {"B/x.png", 4}, {"a/1.png", 5}}) {
    const auto grey = static_cast<std::uint8_t>(value);
    folder_.write(name, png_of(plain_picture(2, 3, {grey, grey, grey})));
  }
  folder_.write("a/readme.txt", "x");
  folder_.write("a/.hidden.png", "x");
  folder_.write(".git/x.png", "x");
  folder_.write("labels.csv", "x");
  const auto dataset = open_dataset(recipe(0, 0.2));
  EXPECT_EQ(dataset->classes(), 3);
  EXPECT_EQ(make_batch(*dataset, 2, device_).inputs.spec().to_string(), "f32[2, 2, 3, 3]");
  ASSERT_EQ(dataset->size(Split::kTrain), 4);  // B/x, a/1, then a/z held out, b/0, b/1
  std::vector<std::pair<int, int>> seen;
  for (std::int64_t i = 0; i < 4; ++i) {
    const Picture picture = read(*dataset, Split::kTrain, {i});
    seen.emplace_back(picture.pixels[0], picture.label);
  }
  EXPECT_EQ(seen, (std::vector<std::pair<int, int>>{{4, 0}, {5, 1}, {2, 2}, {1, 2}}));
  EXPECT_EQ(read(*dataset, Split::kEval, {0}).pixels[0], 3);
}

TEST_F(ImagesTest, HoldsOutEvenlyOverTheClasses) {
  for (const char* name : {"a", "b", "c"}) {
    for (int i = 10; i < 30; ++i)
      folder_.write(std::string(name) + "/" + std::to_string(i) + ".png", png_of(plain_picture(1, 1, {1, 1, 1})));
  }
  const auto dataset = open_dataset(recipe(0, 0.1));
  ASSERT_EQ(dataset->size(Split::kEval), 6);
  ASSERT_EQ(dataset->size(Split::kTrain), 54);
  std::array<int, 3> held_out{};
  for (std::int64_t i = 0; i < 6; ++i) ++held_out[static_cast<std::size_t>(read(*dataset, Split::kEval, {i}).label)];
  EXPECT_EQ(held_out, (std::array<int, 3>{2, 2, 2}));
}

TEST_F(ImagesTest, HoldsOutAPublishedSplit) {
  for (const char* name : {"train/a/1.png", "train/b/1.png", "val/b/1.png", "test/1.png"})
    folder_.write(name, png_of(plain_picture(2, 2, {7, 7, 7})));
  const auto dataset = open_dataset(recipe());
  EXPECT_EQ(dataset->size(Split::kTrain), 2);
  ASSERT_EQ(dataset->size(Split::kEval), 1);
  EXPECT_EQ(read(*dataset, Split::kEval, {0}).label, 1);
  folder_.write("val/c/1.png", "x");
  EXPECT_EQ(refused(), "DIR/val/c: is no class to train on; expected one of the folders in DIR/train");
}

TEST_F(ImagesTest, DecodesEveryKindToRgb) {
  const std::vector<std::pair<std::string, std::vector<std::uint8_t>>> cases = {
      {jpeg_of(plain_picture(8, 8, {200, 100, 50})), {200, 100, 50}},
      {jpeg_of(plain_picture(8, 8, {77})), {77, 77, 77}},
      {cmyk_jpeg_of(plain_picture(8, 8, {200, 100, 50, 255})), {200, 100, 50}},
      {png_of(plain_picture(8, 8, {200, 100, 50})), {200, 100, 50}},
      {png_of(plain_picture(8, 8, {77})), {77, 77, 77}},
      {png_of(plain_picture(8, 8, {200, 100, 50, 128})), {200, 100, 50}}};
  for (const auto& [bytes, pixel] : cases) {
    write_pair("1.jpg", bytes, 8, 8);  // the name does not decide
    const Picture picture = read(*open_dataset(recipe()), Split::kTrain, {0});
    for (std::size_t c = 0; c < 3; ++c) EXPECT_NEAR(picture.pixels[c], pixel[c], 3) << bytes.substr(0, 4) << c;
  }
}

TEST_F(ImagesTest, ResizesTheCentredSquare) {
  write_pair("1.png", png_of(gradient(40, 80)), 8, 8);
  const Picture picture = read(*open_dataset(recipe(10)), Split::kTrain, {0});
  ASSERT_EQ(picture.pixels.size(), 300u);
  for (int y = 0; y < 10; ++y) {
    for (int x = 0; x < 10; ++x) {
      const auto* pixel = &picture.pixels[static_cast<std::size_t>(3 * (10 * y + x))];
      // Centres of 4 × 4 pixels; at the upper and lower edge the filter is cut.
      EXPECT_NEAR(pixel[0], (20 + 4 * x + 1.5) * 255 / 79, 1.5) << x << " " << y;
      EXPECT_NEAR(pixel[1], (4 * y + 1.5) * 255 / 39, 4) << x << " " << y;
      EXPECT_EQ(pixel[2], 40);
    }
  }
}

TEST_F(ImagesTest, EnlargesInBetweenPixels) {
  write_pair("1.png", png_of(gradient(2, 2)), 8, 8);
  const Picture picture = read(*open_dataset(recipe(4)), Split::kTrain, {0});
  std::vector<int> reds;
  for (std::size_t x = 0; x < 4; ++x) reds.push_back(picture.pixels[3 * x]);
  EXPECT_EQ(reds, (std::vector<int>{0, 64, 191, 255}));
}

// A JPEG is decoded at a part of its size where that is enough: it must look the same.
TEST_F(ImagesTest, ReducingWhileDecodingLooksTheSame) {
  const TestPicture large = gradient(400, 400);
  write_pair("1.jpg", jpeg_of(large), 8, 8);
  const Picture jpeg = read(*open_dataset(recipe(20)), Split::kTrain, {0});
  write_pair("1.jpg", png_of(large), 8, 8);
  const Picture png = read(*open_dataset(recipe(20)), Split::kTrain, {0});
  for (std::size_t i = 0; i < png.pixels.size(); ++i) ASSERT_NEAR(jpeg.pixels[i], png.pixels[i], 4) << i;
}

TEST_F(ImagesTest, AugmentsTrainingPicturesOnly) {
  write_pair("1.jpg", jpeg_of(gradient(60, 60)), 60, 60);
  folder_.write("b/2.png", png_of(gradient(60, 60)));  // of 3 pictures the second is held out
  DataRecipe data = recipe(16, 0.34);
  const auto plain = open_dataset(data, 1);
  data.augment = "crop-flip";
  const auto dataset = open_dataset(data, 1);
  const Picture first = read(*dataset, Split::kTrain, {0, 0});
  EXPECT_EQ(read(*open_dataset(data, 1), Split::kTrain, {0, 0}).pixels, first.pixels);
  EXPECT_NE(read(*dataset, Split::kTrain, {0, 1}).pixels, first.pixels);
  EXPECT_NE(read(*open_dataset(data, 2), Split::kTrain, {0, 0}).pixels, first.pixels);
  EXPECT_EQ(read(*dataset, Split::kEval, {0, 1}).pixels, read(*plain, Split::kEval, {0, 0}).pixels);
  int mirrored = 0;
  for (std::int64_t epoch = 0; epoch < 60; ++epoch) {
    const Picture picture = read(*dataset, Split::kTrain, {0, epoch});
    mirrored += picture.pixels[0] > picture.pixels[3 * 15] ? 1 : 0;
  }
  EXPECT_NEAR(mirrored, 30, 16);
}

TEST_F(ImagesTest, DigestChangesWithNamesAndContent) {
  write_pair("1.png", png_of(plain_picture(2, 2, {1, 2, 3})), 2, 2);
  const std::string digest = open_dataset(recipe())->digest();
  EXPECT_EQ(open_dataset(recipe())->digest(), digest);
  std::filesystem::rename(folder_.path("a/1.png"), folder_.path("a/2.png"));
  EXPECT_NE(open_dataset(recipe())->digest(), digest);
  std::filesystem::remove(folder_.path("a/2.png"));
  write_pair("1.png", png_of(plain_picture(2, 2, {1, 2, 4})), 2, 2);
  EXPECT_NE(open_dataset(recipe())->digest(), digest);
}

TEST_F(ImagesTest, WrongFoldersAreNamed) {
  EXPECT_EQ(refused(), "data.path: DIR holds no folders; expected at least 2 folders, one for each class");
  folder_.write("train/1.png", "x");
  EXPECT_EQ(refused(), "data.path: DIR holds the folder train only; expected at least 2 folders, one for each class");
  folder_.write("b/readme.txt", "x");
  EXPECT_EQ(refused(), "DIR/b: holds no .jpg, .jpeg or .png files");
  DataRecipe absent = recipe();
  absent.path = folder_.path("absent");
  EXPECT_EQ(refusal(absent, folder_.path()),
            "data.path: DIR/absent: No such file or directory; expected a folder with a folder of pictures for each "
            "class");
}

TEST_F(ImagesTest, WhatIsNoPictureIsNamed) {
  write_pair("1.jpg", "this is no picture", 8, 8);
  EXPECT_EQ(refused(), "DIR/a/1.jpg: is neither a JPEG nor a PNG picture");
  write_pair("1.jpg", "", 8, 8);
  EXPECT_EQ(refused(), "DIR/a/1.jpg: is empty; expected a JPEG or PNG picture");
  write_pair("1.jpg", "\xff\xd8\xff then nothing of it", 8, 8);
  EXPECT_TRUE(refused().starts_with("DIR/a/1.jpg: is no whole JPEG picture: ")) << refused();
  const std::string png = png_of(plain_picture(8, 8, {1, 2, 3}));
  write_pair("1.png", png.substr(0, 20), 8, 8);
  std::filesystem::remove(folder_.path("a/1.jpg"));
  EXPECT_EQ(refused(), "DIR/a/1.png: is no whole PNG picture: its header is damaged");
  std::string huge = png;
  huge.replace(16, 8, std::string("\0\x0f\0\0\0\x0f\0\0", 8));
  write_pair("1.png", huge, 8, 8);
  EXPECT_EQ(refused(16), "DIR/a/1.png: has 983040 x 983040 pixels; expected at most 268435456 in all");
}

TEST_F(ImagesTest, MixedSizesAreNamed) {
  write_pair("1.jpg", jpeg_of(gradient(16, 24)), 16, 16);
  EXPECT_EQ(refused(),
            "DIR/b/2.png: has 16 x 16 pixels, but DIR/a/1.jpg has 24 x 16; expected one size, or data.image_size to "
            "bring them to");
  EXPECT_EQ(refused(8), "no error");
}

// Headers may be whole where the rest is not: said when the picture is read, and never padded.
TEST_F(ImagesTest, CutAndDamagedPicturesAreRefusedWhenRead) {
  const auto failure = [&]() -> std::string {
    const auto dataset = open_dataset(recipe());
    try {
      read(*dataset, Split::kTrain, {0});
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUsage);
      const std::string what = error.what();
      EXPECT_EQ(what.find('\n'), std::string::npos) << what;
      return what.substr(what.rfind("a/1."));
    }
    return "no error";
  };
  const std::string jpeg = jpeg_of(gradient(64, 64));
  write_pair("1.jpg", jpeg.substr(0, jpeg.size() / 2), 64, 64);
  EXPECT_EQ(failure(), "a/1.jpg: is no whole JPEG picture: Premature end of JPEG file");
  std::filesystem::remove(folder_.path("a/1.jpg"));
  const std::string png = png_of(gradient(64, 64));
  write_pair("1.png", png.substr(0, png.size() / 2), 64, 64);
  EXPECT_EQ(failure(), "a/1.png: is no whole PNG picture: it is cut short");
  std::string damaged = png;
  damaged[png.size() / 2] = static_cast<char>(damaged[png.size() / 2] ^ 1);
  write_pair("1.png", damaged, 64, 64);
  EXPECT_TRUE(failure().starts_with("a/1.png: is no whole PNG picture: IDAT: ")) << failure();
}

}  // namespace
}  // namespace convoy
