// What /metrics says, read as strictly as Prometheus's text format 0.0.4 and its linter (promtool check metrics) ask:
// families in one piece, each with its help and type first, no series twice, names, labels and values as they may be.
#include <gtest/gtest.h>

#include <charconv>
#include <cmath>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "scheduler/run_view_metrics.h"
#include "tests/scheduler/sample_view.h"

namespace convoy::scheduler {
namespace {

class Exposition {
 public:
  explicit Exposition(const std::string& text) {
    if (text.empty() || text.back() != '\n') complain("the last line has no end");
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      line_ = line;
      if (line.starts_with("#")) {
        comment(line);
      } else {
        sample(line);
      }
    }
    end_family();
  }

  const std::string& complaint() const { return complaint_; }
  // By name and labels, as they stand.
  const std::map<std::string, double>& samples() const { return samples_; }
  // Of the labels of a sample, unescaped.
  const std::map<std::string, std::string>& labels(const std::string& series) const { return labels_.at(series); }

 private:
  void complain(const std::string& what) {
    if (complaint_.empty()) complaint_ = what + ": " + line_;
  }

  void comment(const std::string& line) {
    static const std::regex help("# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) ((?:[^\\\\]|\\\\[\\\\n])+)");
    static const std::regex type("# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|summary|histogram|untyped)");
    std::smatch match;
    if (std::regex_match(line, match, help)) {
      end_family();
      family_ = match[1];
      type_.clear();
      if (!families_.insert(family_).second) complain("a family in two pieces");
    } else if (std::regex_match(line, match, type)) {
      if (match[1] != family_ || !type_.empty()) complain("a type without its help before it");
      type_ = match[2];
      if ((type_ == "counter") != family_.ends_with("_total")) complain("_total is for counters, and counters alone");
    } else {
      complain("neither help nor type");
    }
  }

  void sample(const std::string& line) {
    static const std::regex shape("([a-zA-Z_:][a-zA-Z0-9_:]*)(\\{.*\\})? ([^ ]+)");
    std::smatch match;
    if (!std::regex_match(line, match, shape)) return complain("no sample");
    const std::string name = match[1];
    const std::string series = name + match[2].str();
    const auto labels = labels_of(match[2]);
    if (type_.empty()) complain("a sample without a type");
    const bool part = type_ == "summary" && (name == family_ + "_sum" || name == family_ + "_count");
    if (name != family_ && !part) complain("a sample of another family");
    if (type_ == "summary" && !part && !labels.contains("quantile")) complain("a summary's sample without quantile");
    const double value = value_of(match[3]);
    if ((type_ == "counter" || part) && !(value >= 0.0)) complain("counts do not fall below zero");
    if (!samples_.emplace(series, value).second) complain("a series twice");
    labels_[series] = labels;
  }

  std::map<std::string, std::string> labels_of(const std::string& text) {
    std::map<std::string, std::string> labels;
    if (text.empty()) return labels;
    static const std::regex label("([a-zA-Z_][a-zA-Z0-9_]*)=\"((?:[^\"\\\\]|\\\\[\"\\\\n])*)\"(,|$)");
    std::string rest = text.substr(1, text.size() - 2);
    std::smatch match;
    while (std::regex_search(rest, match, label, std::regex_constants::match_continuous)) {
      std::string value;
      const std::string written = match[2];
      for (std::size_t i = 0; i < written.size(); ++i) {
        const bool escape = written[i] == '\\';
        if (escape) ++i;
        value += escape && written[i] == 'n' ? '\n' : written[i];
      }
      if (!labels.emplace(match[1], value).second) complain("a label twice");
      rest = match.suffix();
    }
    if (!rest.empty()) complain("labels that are none");
    return labels;
  }

  double value_of(const std::string& text) {
    if (text == "NaN") return std::nan("");
    if (text == "+Inf" || text == "-Inf") return text[0] == '+' ? HUGE_VAL : -HUGE_VAL;
    double value = 0.0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) complain("no number");
    return value;
  }

  void end_family() {
    if (!family_.empty() && type_.empty()) complain("a family without a type before this");
  }

  std::string line_;
  std::string complaint_;
  std::string family_;
  std::string type_;
  std::set<std::string> families_;
  std::map<std::string, double> samples_;
  std::map<std::string, std::map<std::string, std::string>> labels_;
};

TEST(MetricsTextTest, WhatTheReaderRefuses) {
  const std::string good = "# HELP a Help.\n# TYPE a gauge\na{b=\"c\"} 1\n";
  EXPECT_EQ(Exposition(good).complaint(), "");
  for (const std::string bad :
       {"", "# HELP a Help.\n# TYPE a gauge\na 1", "a 1\n", "# HELP a Help.\na 1\n",
        "# HELP a Help.\n# TYPE a counter\na 1\n", "# HELP a_total Help.\n# TYPE a_total gauge\na_total 1\n",
        "# HELP a Help.\n# TYPE a gauge\nb 1\n", "# HELP a Help.\n# TYPE a gauge\na 1\na 1\n",
        "# HELP a Help.\n# TYPE a gauge\na{b=\"c\"d} 1\n", "# HELP a Help.\n# TYPE a gauge\na{b=\"c\\d\"} 1\n",
        "# HELP a Help.\n# TYPE a gauge\na{1b=\"c\"} 1\n", "# HELP a Help.\n# TYPE a gauge\na nan\n",
        "# HELP a Help.\n# TYPE a gauge\na 1 \n", "# HELP a Help.\n# TYPE a summary\na 1\n",
        "# HELP a Help.\n# TYPE a gauge\n# HELP b Help.\n# TYPE b gauge\n# HELP a Help.\n# TYPE a gauge\n"}) {
    EXPECT_NE(Exposition(bad).complaint(), "") << bad;
  }
}

TEST(MetricsTextTest, OfARun) {
  const Exposition metrics(to_metrics(sample_view()));
  EXPECT_EQ(metrics.complaint(), "");
  EXPECT_EQ(metrics.samples().at("convoy_step"), 120.0);
  EXPECT_EQ(metrics.samples().at("convoy_state{state=\"running\"}"), 1.0);
  EXPECT_EQ(metrics.samples().at("convoy_step_seconds_count"), 103.0);
}

TEST(MetricsTextTest, OfARunThatBegins) { EXPECT_EQ(Exposition(to_metrics(RunView())).complaint(), ""); }

TEST(MetricsTextTest, OfOddNumbersAndNames) {
  RunView view = sample_view();
  view.run_directory = "/runs/\"a\\n\"\nb\xff\t{x=\"1\"} 2";
  view.recipe = "\xf0\x9f\x9a\x9a,}\"";
  view.workers[0].host = "node\"1\\";
  view.workers[1].host = std::string("\0\r\x1b[2J", 6);
  view.rate = 1e300;
  view.samples_per_s = std::numeric_limits<double>::infinity();
  view.loss = -std::numeric_limits<double>::infinity();
  view.seconds_left = 1e-9;
  view.step = std::numeric_limits<std::int64_t>::max();
  view.step_time->p99_ms = std::nan("");
  const std::string text = to_metrics(view);
  const Exposition metrics(text);
  EXPECT_EQ(metrics.complaint(), "") << text;
  for (const auto& [series, value] : metrics.samples()) {
    if (series.starts_with("convoy_info")) {
      EXPECT_TRUE(metrics.labels(series).at("run").starts_with("/runs/\"a\\n\"")) << series;
    }
    if (series.starts_with("convoy_worker_step") && metrics.labels(series).at("rank") == "0") {
      EXPECT_EQ(metrics.labels(series).at("host"), "node\"1\\");
    }
  }
}

}  // namespace
}  // namespace convoy::scheduler
