#include "core/data/dataset.h"

#include <gtest/gtest.h>

#include <string>

namespace convoy {
namespace {

// What a program's own data set has to say, and no more.
class Numbers final : public Dataset {
 public:
  explicit Numbers(float first, std::int32_t last_class = 1) : first_(first), last_class_(last_class) {}
  std::int64_t size(Split split) const override { return split == Split::kTrain ? 5 : 2; }
  SampleSpec input_spec() const override { return {.dtype = DType::kF32, .shape = {2}}; }
  SampleSpec target_spec() const override { return {.dtype = DType::kI32, .shape = {}}; }
  std::int64_t classes() const override { return 2; }

 private:
  void read_sample(Split split, SampleId sample, void* input, std::int32_t* target) const override {
    auto* x = static_cast<float*>(input);
    x[0] = sample.number == 0 && split == Split::kTrain ? first_ : 1.0F;
    x[1] = static_cast<float>(sample.number);
    *target = split == Split::kEval && sample.number == 1 ? last_class_ : 0;
  }
  float first_;
  std::int32_t last_class_;
};

TEST(DatasetTest, TheDigestCoversEverySampleOfBothSplits) {
  const std::string digest = Numbers(0.5F).digest();
  EXPECT_EQ(digest.size(), 32U);
  EXPECT_EQ(Numbers(0.5F).digest(), digest);
  EXPECT_NE(Numbers(0.25F).digest(), digest) << "another first input";
  EXPECT_NE(Numbers(0.5F, 0).digest(), digest) << "another last target";
}

TEST(DatasetTest, SamplesAreNotTextUnlessTheyAreSaidToBe) { EXPECT_EQ(Numbers(0.5F).tokens_per_sample(), 0); }

}  // namespace
}  // namespace convoy
