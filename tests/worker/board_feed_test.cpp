#include "worker/board_feed.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "tests/worker/small_run.h"

namespace convoy::worker {
namespace {

// A feed whose messages are kept.
class Feed {
 public:
  explicit Feed(const SmallRun& run)
      : replica(run.replica()),
        batches_(run.batches()),
        feed(run.recipe, *run.dataset, *replica, batches_, [this](cluster::Body body) { sent.push_back(body); }) {}

  std::map<std::string, cluster::HistogramReport> histograms() const {
    std::map<std::string, cluster::HistogramReport> by_tag;
    for (const cluster::Body& body : sent) {
      const auto& report = std::get<cluster::HistogramReport>(body);
      EXPECT_TRUE(by_tag.emplace(report.tag, report).second) << report.tag;
    }
    return by_tag;
  }
  cluster::TextReport text() const { return std::get<cluster::TextReport>(sent.at(0)); }

  std::vector<cluster::Body> sent;
  std::unique_ptr<Replica> replica;

 private:
  Batches batches_;

 public:
  BoardFeed feed;
};

TEST(BoardFeedTest, TheRecipeIsAMarkdownCodeBlock) {
  const SmallRun run("mnist");
  Feed feed(run);
  feed.feed.recipe(7);
  EXPECT_EQ(feed.text().step, 7);
  EXPECT_EQ(feed.text().tag, "recipe");
  EXPECT_TRUE(feed.text().text.starts_with("    [model]\n    kind = \"mlp\"\n")) << feed.text().text;
}

TEST(BoardFeedTest, HistogramsAreOfEveryParameterAndItsMeanGradient) {
  SmallRun run("mnist");
  run.recipe.train.histogram_every = 5;
  Feed feed(run);
  const auto n = static_cast<std::size_t>(feed.replica->layout().elements());
  std::vector<float> reduced(n, 6.0F);
  feed.feed.after_step(5, reduced.data(), 4.0);
  const auto histograms = feed.histograms();
  const auto& parameters = feed.replica->layout().parameters();
  EXPECT_EQ(histograms.size(), 2 * parameters.size());
  for (const auto& parameter : parameters) {
    SCOPED_TRACE(parameter.name);
    const auto& gradient = histograms.at("gradients/" + parameter.name);
    EXPECT_EQ(gradient.step, 5);
    EXPECT_EQ(gradient.count, static_cast<double>(parameter.elements));
    EXPECT_EQ(gradient.min, 1.5);
    EXPECT_EQ(gradient.max, 1.5);
    EXPECT_EQ(histograms.at("weights/" + parameter.name).count, static_cast<double>(parameter.elements));
  }
}

TEST(BoardFeedTest, HistogramsComeWhenTheyAreDue) {
  SmallRun run("mnist");
  Feed off(run);
  std::vector<float> reduced(static_cast<std::size_t>(off.replica->layout().elements()));
  off.feed.after_step(5, reduced.data(), 1.0);
  EXPECT_TRUE(off.sent.empty()) << "off by default";
  run.recipe.train.histogram_every = 3;
  Feed every_third(run);
  every_third.feed.after_step(5, reduced.data(), 1.0);
  EXPECT_TRUE(every_third.sent.empty());
  every_third.feed.after_step(6, reduced.data(), 1.0);
  EXPECT_FALSE(every_third.sent.empty());
}

TEST(BoardFeedTest, ALanguageModelContinuesHeldOutText) {
  const SmallRun run("text");
  Feed feed(run), again(run);
  feed.feed.after_evaluation(3);
  again.feed.after_evaluation(3);
  const cluster::TextReport report = feed.text();
  EXPECT_EQ(report, again.text()) << "the same draws";
  EXPECT_EQ(report.step, 3);
  EXPECT_EQ(report.tag, "samples/held_out");
  const Tensor inputs = run.batches().evaluation(0).inputs;
  const std::string first(1, static_cast<char>(inputs.data<std::int32_t>()[0]));
  EXPECT_TRUE(report.text.starts_with("Held-out text:\n\n    " + first)) << report.text;
  EXPECT_NE(report.text.find("The model goes on:\n\n    "), std::string::npos) << report.text;
}

TEST(BoardFeedTest, OtherModelsWriteNothing) {
  SmallRun run("mnist");
  Feed digits(run);
  digits.feed.after_evaluation(3);
  EXPECT_TRUE(digits.sent.empty());
  SmallRun text("text");
  text.recipe.train.sample_tokens = 0;
  Feed silent(text);
  silent.feed.after_evaluation(3);
  EXPECT_TRUE(silent.sent.empty());
}

}  // namespace
}  // namespace convoy::worker
