// The status page in a real browser: the numbers are there, the curve is drawn, nothing is wrong by the browser's own
// word, and nobody but the page's server is asked for anything. Skipped where there is no Chromium.
#include "scheduler/page.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "scheduler/http_server.h"
#include "tests/scheduler/sample_view.h"
#include "tests/scheduler/scratch.h"

namespace convoy::scheduler {
namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++count;
  return count;
}

class PageTest : public testing::Test {
 protected:
  void SetUp() override {
    if (std::string_view(CONVOY_TEST_BROWSER).empty())
      GTEST_SKIP() << "no chromium was found (Debian: chromium-headless-shell)";
  }

  // Opens the page, lets it ask some times, and keeps what the browser then shows. (Time that it waits for the server
  // does not count for the budget.)
  void open(const std::string& url, const std::string& more_flags = "") {
    const std::string command = "timeout 90 " CONVOY_TEST_BROWSER
                                " --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run"
                                " --disable-background-networking --disable-component-update --disable-sync"
                                " --user-data-dir='" +
                                folder_.file("profile") + "' --log-net-log='" + folder_.file("net.json") +
                                "' --enable-logging=stderr --virtual-time-budget=150 --dump-dom " + more_flags + " '" +
                                url + "' >'" + folder_.file("dom") + "' 2>'" + folder_.file("log") + "'";
    ASSERT_EQ(std::system(command.c_str()), 0) << contents_of(folder_.file("log"));
    dom = contents_of(folder_.file("dom"));
    log = contents_of(folder_.file("log"));
    const auto net = nlohmann::json::parse(contents_of(folder_.file("net.json")));
    for (const auto& event : net.at("events")) {
      const auto parameters = event.find("params");
      if (parameters == event.end() || !parameters->contains("url")) continue;
      requested.push_back(parameters->at("url"));
      if (requested.back().find("/status.json") != std::string::npos)
        updates.insert(event.at("source").at("id").get<std::int64_t>());
    }
  }
  void expect_no_errors() const { EXPECT_FALSE(contains(log, "CONSOLE")) << log; }
  void expect_only(const std::string& origin) const {
    EXPECT_FALSE(requested.empty());
    for (const std::string& url : requested)
      EXPECT_TRUE(url.starts_with(origin) || url.starts_with("data:")) << "asked for " << url;
  }
  // What stands in the element with this id.
  std::string shown(const std::string& id) const {
    std::smatch match;
    const std::regex element("id=\"" + id + "\"[^>]*>([^<]*)<");
    return std::regex_search(dom, match, element) ? match[1].str() : "nothing";
  }

  std::string dom;
  std::string log;
  std::vector<std::string> requested;  // addresses, several times each
  std::set<std::int64_t> updates;      // requests for /status.json

 private:
  Scratch folder_;
};

TEST_F(PageTest, ShowsARun) {
  HttpServer server({});
  RunView view = sample_view();
  view.run_directory = "/runs/gpt-20260101";
  view.loss_curve.clear();
  for (std::int64_t step = 1; step <= 120; ++step)
    view.loss_curve.push_back({.step = step, .loss = 4.5 / (1.0 + 0.01 * static_cast<double>(step))});
  server.publish(std::make_shared<RunView>(view));
  open(server.url());
  EXPECT_EQ(shown("run"), "gpt-20260101");
  EXPECT_EQ(shown("state"), "running");
  EXPECT_EQ(shown("step"), "step 120 of 600");
  EXPECT_EQ(shown("left"), "0:35 left");
  EXPECT_EQ(shown("loss"), "2.2500");
  EXPECT_EQ(shown("rate"), "41,204");
  EXPECT_EQ(shown("rate-more"), "tokens/s");
  EXPECT_EQ(shown("median"), "12.5 ms");
  EXPECT_EQ(shown("p99"), "99th percentile 30.0 ms");
  EXPECT_EQ(shown("workers"), "2");
  EXPECT_EQ(shown("checkpoint"), "step 100");
  EXPECT_TRUE(contains(shown("about"), "gpt on text")) << shown("about");
  EXPECT_TRUE(contains(dom, "<td class=\"wide\">node1</td>"));
  EXPECT_TRUE(contains(dom, "<td class=\"wide\">node2</td>"));
  EXPECT_TRUE(contains(dom, "forward backward"));
  // The curve has all of its points.
  std::smatch path;
  ASSERT_TRUE(std::regex_search(dom, path, std::regex("<path class=\"loss\" d=\"([^\"]*)\"")));
  EXPECT_EQ(count_of(path[1].str(), "L"), 119u);
  EXPECT_EQ(count_of(path[1].str(), "M"), 1u);
  EXPECT_FALSE(contains(path[1].str(), "NaN"));
  // Events come with their reasons, which are text whatever they look like.
  EXPECT_TRUE(contains(dom, "worker 1 was killed by signal 9 &lt;b&gt;\"now\"&lt;/b&gt;"));
  EXPECT_LT(dom.find(">epoch<"), dom.find(">worker lost<")) << "the newest comes first";
  // It has asked again and again, and only where it comes from.
  EXPECT_GE(updates.size(), 3u);
  expect_only("http://" + server.address() + "/");
  expect_no_errors();
}

TEST_F(PageTest, ShowsARunThatBegins) {
  HttpServer server({});
  RunView view;
  view.run_directory = "/runs/new";
  view.steps = 10;
  server.publish(std::make_shared<RunView>(view));
  open(server.url());
  EXPECT_EQ(shown("state"), "gathering");
  EXPECT_EQ(shown("step"), "step 0 of 10");
  EXPECT_EQ(shown("loss"), "–");
  EXPECT_EQ(shown("curve-empty"), "No step is done yet.");
  expect_no_errors();
}

TEST_F(PageTest, LossesThatAreNotFinite) {
  HttpServer server({});
  RunView view = sample_view();
  view.loss = std::nan("");
  server.publish(std::make_shared<RunView>(view));
  open(server.url());
  EXPECT_EQ(shown("loss"), "not finite");
  std::smatch path;
  ASSERT_TRUE(std::regex_search(dom, path, std::regex("<path class=\"loss\" d=\"([^\"]*)\"")));
  EXPECT_EQ(count_of(path[1].str(), "M"), 2u) << "a gap: " << path[1];
  EXPECT_FALSE(contains(path[1].str(), "NaN"));
  expect_no_errors();
}

TEST_F(PageTest, PassesItsTokenOn) {
  HttpServer server({.listen = "0.0.0.0:0"});
  server.publish(std::make_shared<RunView>(sample_view()));
  const std::string origin = "http://127.0.0.1:" + server.address().substr(server.address().rfind(':') + 1) + "/";
  open(origin + "?token=" + server.token());
  EXPECT_EQ(shown("step"), "step 120 of 600");
  expect_only(origin);
  for (const std::string& url : requested)
    EXPECT_FALSE(contains(url, "status.json") && contains(url, server.token()))
        << "the token goes in a header: " << url;
  expect_no_errors();
}

}  // namespace
}  // namespace convoy::scheduler
