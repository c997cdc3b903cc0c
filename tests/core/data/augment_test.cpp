#include "core/data/augment.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <set>

#include "core/base/error.h"

namespace convoy {
namespace {

constexpr std::array<double, 1> kMean{0.0};
constexpr std::array<double, 1> kDeviation{1.0 / 255.0};  // so that numbers are the bytes

class AugmentTest : public testing::Test {
 protected:
  // side × side, every pixel another value; black is outside.
  AugmentTest() : pixels_(kSide * kSide) { std::iota(pixels_.begin(), pixels_.end(), 1); }

  std::vector<float> augmented(Augment augment, std::uint64_t seed, SampleId sample, std::int64_t reach = 2) const {
    std::vector<float> out(kSide * kSide);
    write_augmented({pixels_.data(), kSide, kSide, 1}, augment, reach, SampleDraws(seed, sample),
                    Normalization(kMean, kDeviation), out.data());
    for (float& value : out) value = std::round(value * 1000.0F) / 1000.0F;
    return out;
  }
  float original(std::int64_t y, std::int64_t x) const {
    const bool inside = y >= 0 && y < kSide && x >= 0 && x < kSide;
    return inside ? pixels_[static_cast<std::size_t>(y * kSide + x)] : 0.0F;
  }

  static constexpr std::int64_t kSide = 14;
  std::vector<std::uint8_t> pixels_;
};

TEST_F(AugmentTest, IsAFunctionOfSeedEpochAndNumber) {
  for (const Augment augment : {Augment::kCropFlip, Augment::kAffine}) {
    const std::vector<float> picture = augmented(augment, 1, {5, 2});
    EXPECT_EQ(augmented(augment, 1, {5, 2}), picture);
    EXPECT_NE(augmented(augment, 2, {5, 2}), picture);
    EXPECT_NE(augmented(augment, 1, {5, 3}), picture);
    EXPECT_NE(augmented(augment, 1, {6, 2}), picture);
  }
}

TEST_F(AugmentTest, CropMovesByUpToTheReachBothWays) {
  std::set<std::pair<std::int64_t, std::int64_t>> moves;
  for (std::int64_t number = 0; number < 300; ++number) {
    const std::vector<float> picture = augmented(Augment::kCrop, 3, {number, 0});
    int matches = 0;
    for (std::int64_t down = -2; down <= 2; ++down) {
      for (std::int64_t right = -2; right <= 2; ++right) {
        bool same = true;
        for (std::int64_t i = 0; i < kSide * kSide; ++i)
          same = same && picture[static_cast<std::size_t>(i)] == original(i / kSide + down, i % kSide + right);
        if (!same) continue;
        ++matches;
        moves.insert({down, right});
      }
    }
    ASSERT_EQ(matches, 1) << number;
  }
  EXPECT_EQ(moves.size(), 25u);
}

TEST_F(AugmentTest, FlipMirrorsEveryOtherPicture) {
  int mirrored = 0;
  for (std::int64_t number = 0; number < 300; ++number) {
    std::vector<float> picture = augmented(Augment::kCropFlip, 3, {number, 0}, 0);
    if (picture == augmented(Augment::kNone, 3, {number, 0})) continue;
    mirror(picture.data(), kSide, kSide, 1);
    ASSERT_EQ(picture, augmented(Augment::kNone, 3, {number, 0}));
    ++mirrored;
  }
  EXPECT_NEAR(mirrored, 150, 40);
}

TEST_F(AugmentTest, MirrorKeepsChannelsTogether) {
  std::vector<float> picture{1, 2, 3, 4, 5, 6, 7, 8, 9};
  mirror(picture.data(), 1, 3, 3);
  EXPECT_EQ(picture, (std::vector<float>{7, 8, 9, 4, 5, 6, 1, 2, 3}));
}

// A gradient stays a gradient: its slopes tell the angle, the scale and the move.
TEST_F(AugmentTest, AffineTurnsScalesAndMovesWithinItsBounds) {
  constexpr std::int64_t kLarge = 28;
  std::vector<std::uint8_t> down(kLarge * kLarge), right(kLarge * kLarge);
  for (std::int64_t i = 0; i < kLarge * kLarge; ++i) {
    down[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(i / kLarge * 8);
    right[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(i % kLarge * 8);
  }
  double least_angle = 1, most_angle = -1, least_scale = 2, most_scale = 0, most_move = 0;
  for (std::int64_t number = 0; number < 300; ++number) {
    const SampleDraws draws(9, {number, 0});
    std::vector<float> y(kLarge * kLarge), x(kLarge * kLarge);
    const Normalization bytes(kMean, kDeviation);
    write_augmented({down.data(), kLarge, kLarge, 1}, Augment::kAffine, 0, draws, bytes, y.data());
    write_augmented({right.data(), kLarge, kLarge, 1}, Augment::kAffine, 0, draws, bytes, x.data());
    const auto at = [&](const std::vector<float>& map, int row, int column) {
      return static_cast<double>(map[static_cast<std::size_t>(row * kLarge + column)]) / 8.0;
    };
    // Where the pixels (10, 10), (10, 17), (17, 10) and (17, 17) come from.
    const double cosine = (at(x, 10, 17) - at(x, 10, 10)) / 7.0;
    const double sine = (at(x, 17, 10) - at(x, 10, 10)) / 7.0;
    ASSERT_NEAR((at(y, 17, 10) - at(y, 10, 10)) / 7.0, cosine, 1e-4);
    ASSERT_NEAR((at(y, 10, 17) - at(y, 10, 10)) / 7.0, -sine, 1e-4);
    const double angle = std::atan2(sine, cosine) * 180.0 / 3.14159265;
    const double scale = 1.0 / std::hypot(sine, cosine);
    least_angle = std::min(least_angle, angle);
    most_angle = std::max(most_angle, angle);
    least_scale = std::min(least_scale, scale);
    most_scale = std::max(most_scale, scale);
    const double centre = (at(x, 10, 10) + at(x, 10, 17) + at(x, 17, 10) + at(x, 17, 17)) / 4.0;
    most_move = std::max(most_move, std::abs(centre - 13.5));
  }
  EXPECT_NEAR(least_angle, -15.0, 0.5);
  EXPECT_NEAR(most_angle, 15.0, 0.5);
  EXPECT_NEAR(least_scale, 0.9, 0.005);
  EXPECT_NEAR(most_scale, 1.1, 0.005);
  EXPECT_NEAR(most_move, 2.0, 0.1);
  EXPECT_LE(most_move, 2.001);
}

TEST(BoxTest, CentredBoxHasTheShapeAskedFor) {
  EXPECT_EQ(centred_box(100, 200, 10, 10), (Box{.top = 0, .left = 50, .height = 100, .width = 100}));
  EXPECT_EQ(centred_box(200, 100, 10, 20), (Box{.top = 75, .left = 0, .height = 50, .width = 100}));
}

TEST(BoxTest, RandomBoxesLieInsideAndVary) {
  double least = 1, most = 0;
  for (std::int64_t number = 0; number < 1000; ++number) {
    const Box box = random_box(120, 200, 32, 32, SampleDraws(1, {number, 0}));
    ASSERT_GE(box.top, 0.0);
    ASSERT_GE(box.left, 0.0);
    ASSERT_LE(box.top + box.height, 120.0 + 1e-9);
    ASSERT_LE(box.left + box.width, 200.0 + 1e-9);
    ASSERT_GE(box.width / box.height, 0.75 - 1e-9);
    ASSERT_LE(box.width / box.height, 4.0 / 3.0 + 1e-9);
    const double share = box.height * box.width / (120.0 * 200.0);
    least = std::min(least, share);
    most = std::max(most, share);
  }
  EXPECT_NEAR(least, 0.08, 0.01);
  EXPECT_GT(most, 0.6);
}

TEST(BoxTest, AVeryLongPictureIsCutInTheMiddle) {
  EXPECT_EQ(random_box(1, 1000, 8, 8, SampleDraws(1, {0, 0})), centred_box(1, 1000, 8, 8));
}

TEST(AugmentNameTest, UnknownOnesAreRefused) { EXPECT_THROW(augment_from("twist"), Error); }

}  // namespace
}  // namespace convoy
