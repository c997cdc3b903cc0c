// What the status page's server answers, without a socket.
#include "scheduler/http_site.h"

#include <gtest/gtest.h>

#include "scheduler/page.h"
#include "scheduler/run_view_json.h"
#include "scheduler/run_view_metrics.h"
#include "tests/scheduler/sample_view.h"
#include "tests/support/mutations.h"

namespace convoy::scheduler {
namespace {

HttpAsk get(const std::string& target, const std::string& authorization = "") {
  return {.method = "GET", .target = target, .host = "127.0.0.1:8000", .authorization = authorization};
}

TEST(HttpSiteTest, Routes) {
  HttpSite site("");
  site.publish(std::make_shared<RunView>(sample_view()));
  const HttpReply page = site.answer(get("/"));
  EXPECT_EQ(page.status, 200u);
  EXPECT_EQ(page.type, "text/html; charset=utf-8");
  EXPECT_EQ(*page.body, kPage);
  const HttpReply status = site.answer(get("/status.json?x=1"));
  EXPECT_EQ(status.type, "application/json");
  EXPECT_EQ(*status.body, to_json(sample_view()));
  const HttpReply metrics = site.answer(get("/metrics"));
  EXPECT_EQ(metrics.type, kMetricsType);
  EXPECT_EQ(*metrics.body, to_metrics(sample_view()));
  EXPECT_EQ(*site.answer(get("/healthz")).body, "ok\n");
}

TEST(HttpSiteTest, OtherPathsAndMethods) {
  HttpSite site("");
  for (const char* target : {"", "x", "/x", "//", "/status", "/../etc/passwd", "*", "http://127.0.0.1/"})
    EXPECT_EQ(site.answer(get(target)).status, 404u) << target;
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "get", ""}) {
    HttpAsk ask = get("/");
    ask.method = method;
    const HttpReply reply = site.answer(ask);
    EXPECT_EQ(reply.status, 405u) << method;
    EXPECT_EQ(reply.allow, "GET, HEAD");
  }
}

TEST(HttpSiteTest, ATokenIsAskedOfEverybody) {
  HttpSite site("secret");
  for (const char* target : {"/", "/status.json", "/metrics", "/healthz", "/x", "/?token=", "/?token=secre",
                             "/?token=secret2", "/?token=SECRET", "/?mytoken=secret", "/?a=token=secret", "/?token"})
    EXPECT_EQ(site.answer(get(target)).status, 401u) << target;
  for (const char* header : {"secret", "Bearer ", "Bearer secre", "Bearer  secret", "bearer secret", "Basic secret"})
    EXPECT_EQ(site.answer(get("/", header)).status, 401u) << header;
  HttpAsk post = get("/");
  post.method = "POST";
  EXPECT_EQ(site.answer(post).status, 401u);
  for (const char* target : {"/?token=secret", "/?a=b&token=secret", "/?&&token=secret&c"})
    EXPECT_EQ(site.answer(get(target)).status, 200u) << target;
  EXPECT_EQ(site.answer(get("/status.json", "Bearer secret")).status, 200u);
  EXPECT_EQ(site.answer(get("/x?token=secret")).status, 404u);
}

// A page of another site, whose name its owner lets stand for 127.0.0.1, gets nothing.
TEST(HttpSiteTest, WithoutATokenOnlyThisMachinesNamesAreAnswered) {
  HttpSite site("");
  for (const char* host :
       {"", "localhost", "localhost:1", "127.0.0.1", "127.0.0.1:8000", "127.1.2.3:1", "[::1]", "[::1]:8"})
    EXPECT_EQ(site.answer({.method = "GET", .target = "/", .host = host, .authorization = ""}).status, 200u) << host;
  for (const char* host : {"evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example:1",
                           "10.0.0.1:8000", "[::2]:8"})
    EXPECT_EQ(site.answer({.method = "GET", .target = "/", .host = host, .authorization = ""}).status, 403u) << host;
  HttpSite guarded("secret");
  EXPECT_EQ(guarded.answer({.method = "GET", .target = "/?token=secret", .host = "a", .authorization = ""}).status,
            200u);
}

// Who may wait for the end of the run, and for how long.
TEST(HttpSiteTest, AnAnswerMayBeHeldBack) {
  using std::chrono::milliseconds;
  const HttpSite site("");
  EXPECT_EQ(site.hold(get("/status.json?hold=950")), milliseconds(950));
  EXPECT_EQ(site.hold(get("/status.json?hold=999999999")), milliseconds(5000));
  for (const char* target : {"/status.json", "/status.json?hold=", "/status.json?hold=-1", "/status.json?hold=x",
                             "/status.json?hold=99999999999999999999", "/?hold=950", "/metrics?hold=950"})
    EXPECT_EQ(site.hold(get(target)), milliseconds(0)) << target;
  const HttpSite guarded("secret");
  EXPECT_EQ(guarded.hold(get("/status.json?hold=950")), milliseconds(0)) << "strangers hold no connection";
  EXPECT_EQ(guarded.hold(get("/status.json?hold=950", "Bearer secret")), milliseconds(950));
}

TEST(HttpSiteTest, TheNewestViewIsTold) {
  HttpSite site("");
  EXPECT_EQ(*site.answer(get("/status.json")).body, to_json(RunView()));
  for (std::int64_t step = 1; step <= 3; ++step) {
    RunView view = sample_view();
    view.step = step;
    site.publish(std::make_shared<RunView>(view));
    const auto body = site.answer(get("/status.json")).body;
    EXPECT_EQ(view_of_json(*body).step, step);
    EXPECT_EQ(site.answer(get("/status.json")).body, body) << "the same view is written once";
  }
}

TEST(HttpSiteTest, DamagedRequestsAreAnswered) {
  HttpSite open("");
  HttpSite secret("0123456789abcdef");
  testing_support::Mutations targets({"/", "/status.json?x=1", "/metrics", "/?a=1&token=x&b=2", "/healthz"});
  testing_support::Mutations hosts({"127.0.0.1:8000", "localhost", "[::1]:8000"});
  testing_support::Mutations words({"Bearer 0123456789abcdeX", "Basic eDp5"});
  for (std::int64_t i = 0; i < testing_support::Mutations::rounds(5'000); ++i) {
    const HttpAsk ask{.method = i % 8 == 0 ? "PUT" : "GET",
                      .target = targets.next(),
                      .host = hosts.next(),
                      .authorization = words.next()};
    ASSERT_GE(open.answer(ask).status, 200u);
    const HttpReply reply = secret.answer(ask);
    const bool knows =
        ask.authorization == "Bearer 0123456789abcdef" || ask.target.find("token=0") != std::string::npos;
    ASSERT_TRUE(knows || reply.status == 401u) << ask.target << " " << ask.authorization;
  }
}

}  // namespace
}  // namespace convoy::scheduler
