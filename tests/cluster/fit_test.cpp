#include "cluster/fit.h"

#include <gtest/gtest.h>

namespace convoy::cluster {
namespace {

Fingerprint fingerprint(const std::vector<std::pair<std::string, std::string>>& recipe,
                        const std::string& build = "A") {
  Fingerprint result;
  result.add("build of program", build);
  for (const auto& [key, value] : recipe) result.add(kRecipeEntry + key, value);
  return result;
}

TEST(FitTest, EqualFingerprintsFit) {
  EXPECT_EQ(misfit(fingerprint({{"train.seed", "1"}}), fingerprint({{"train.seed", "1"}})), std::nullopt);
}

TEST(FitTest, EveryKeyThatDiffersIsNamedWithBothValues) {
  const Fingerprint run = fingerprint({{"model.width", "64"}, {"optimizer.lr", "0.001"}, {"train.seed", "1"}}, "B");
  const Fingerprint worker = fingerprint({{"model.width", "64"}, {"optimizer.lr", "0.1"}, {"train.seed", "2"}});
  EXPECT_EQ(misfit(worker, run), "its recipe has optimizer.lr = 0.1 (the run: 0.001), train.seed = 2 (the run: 1)")
      << "rather than what follows from it";
}

TEST(FitTest, KeysThatOnlyOneHasAreNamedToo) {
  const Fingerprint run = fingerprint({{"model.kind", "\"gpt\""}, {"model.heads", "4"}});
  const Fingerprint worker = fingerprint({{"model.kind", "\"mlp\""}, {"model.hidden", "[8]"}});
  EXPECT_EQ(misfit(worker, run),
            "its recipe has model.kind = \"mlp\" (the run: \"gpt\"), model.hidden = [8] (the run: no such key), no "
            "model.heads (the run: 4)");
}

TEST(FitTest, ManyKeysAreCounted) {
  std::vector<std::pair<std::string, std::string>> keys;
  for (int i = 0; i < 9; ++i) keys.emplace_back("data.key" + std::to_string(i), "1");
  const std::string what = misfit(fingerprint(keys), fingerprint({})).value_or("");
  EXPECT_TRUE(what.ends_with("data.key5 = 1 (the run: no such key) and 3 more that differ")) << what;
}

TEST(FitTest, AnotherBuildIsNamed) {
  EXPECT_EQ(misfit(fingerprint({{"train.seed", "1"}}, "B"), fingerprint({{"train.seed", "1"}})),
            "build of program: 'B' here, 'A' there");
}

}  // namespace
}  // namespace convoy::cluster
