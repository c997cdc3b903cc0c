// Runs on folders of pictures, with what a user may find in them.
#include <gtest/gtest.h>

#include "tests/program/program_run.h"
#include "tests/support/picture_files.h"

namespace convoy {
namespace {

using testing_support::jpeg_of;
using testing_support::plain_picture;

constexpr char kRecipe[] = R"([model]
kind = "mlp"
hidden = [16]
[data]
kind = "images"
path = "pictures"
image_size = 8
augment = "crop-flip"
threads = 2
[optimizer]
kind = "adamw"
lr = 1e-2
[train]
steps = 6
global_batch = 4
logical_shards = 4
)";

// Eight pictures of two classes.
class PicturesTest : public testing::Test {
 protected:
  PicturesTest() {
    run_.write("pictures.toml", kRecipe);
    for (const char* name : {"dark", "light"}) {
      const std::uint8_t grey = name[0] == 'd' ? 30 : 220;
      for (int i = 0; i < 4; ++i) run_.write(picture(name, i), jpeg_of(plain_picture(20, 24 + i, {grey, grey, grey})));
    }
  }
  static std::string picture(const std::string& name, int i) {
    return "pictures/" + name + "/" + std::to_string(i) + ".jpg";
  }
  // What a run says that goes wrong, on two workers.
  std::string refused() {
    EXPECT_EQ(run_.run({"launch", "-n", "2", "--run", "run", "--", "train", "pictures.toml"}), 2) << run_.errors();
    return run_.message();
  }

  ProgramRun run_;
};

TEST_F(PicturesTest, Train) {
  EXPECT_EQ(run_.run({"launch", "-n", "2", "--run", "run", "--", "train", "pictures.toml"}), 0) << run_.errors();
  EXPECT_NE(run_.output().find("step 6/6"), std::string::npos) << run_.output();
}

TEST_F(PicturesTest, WhatIsNoJpegIsNamedBeforeTheRun) {
  run_.write(picture("dark", 1), "this is no picture");
  EXPECT_EQ(refused(),
            "convoy: pictures.toml:6: data.path: DIR/pictures/dark/1.jpg: is neither a JPEG nor a PNG picture\n");
  EXPECT_FALSE(std::filesystem::exists(run_.folder() / "run"));
}

TEST_F(PicturesTest, MixedSizesAreNamedBeforeTheRun) {
  EXPECT_EQ(run_.run({"train", "pictures.toml", "--run", "run", "data.image_size=0"}), 2);
  EXPECT_EQ(run_.message(),
            "convoy: pictures.toml:6: data.path: DIR/pictures/dark/1.jpg: has 25 x 20 pixels, but "
            "DIR/pictures/dark/0.jpg has 24 x 20; expected one size, or data.image_size to bring them to\n");
}

// Its header is whole, so it is found by whoever reads it: the run ends with its name, once.
TEST_F(PicturesTest, ATruncatedOneEndsTheRunWithItsName) {
  testing_support::TestPicture noise = plain_picture(20, 24, {0, 0, 0});
  for (std::size_t i = 0; i < noise.pixels.size(); ++i)
    noise.pixels[i] = static_cast<std::uint8_t>(i * i * 2654435761U >> 24);
  const std::string bytes = jpeg_of(noise);
  run_.write(picture("dark", 0), bytes.substr(0, bytes.size() - 100));
  EXPECT_NE(refused().find("DIR/pictures/dark/0.jpg: is no whole JPEG picture: Premature end of JPEG file"),
            std::string::npos)
      << run_.message();
}

}  // namespace
}  // namespace convoy
