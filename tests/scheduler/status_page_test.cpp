// The page as the scheduler keeps it: what it publishes, and where it is found.
#include "scheduler/status_page.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster/address.h"
#include "core/base/error.h"
#include "scheduler/http_client.h"
#include "scheduler/run_view_json.h"
#include "tests/scheduler/scratch.h"

namespace convoy::scheduler {
namespace {

using namespace std::chrono_literals;

class StatusPageTest : public testing::Test {
 protected:
  StatusPageTest() { logger.mute_terminal(); }
  StatusPageOptions options(const std::string& http = "") const {
    return {.run_directory = run.path(), .http = http, .scheduler = Uuid::random(), .term = 3, .steps = 50};
  }
  RunView told() const {
    const auto place = HttpFile::read(run.path());
    return view_of_json(http_get(place->address, "/status.json", place->token, 5s).body);
  }

  Scratch run;
  Logger logger;
};

TEST_F(StatusPageTest, TellsWhatStands) {
  std::ofstream(run.file("recipe.toml")) << "[model]\nkind = \"gpt\"\n[data]\nkind = \"text\"\n";
  const StatusPageOptions chosen = options();
  StatusPage page(chosen, logger);
  EXPECT_TRUE(page.announcement().empty()) << "nobody asked for the page";
  EXPECT_TRUE(page.due(Time::clock::now()));
  const Uuid worker = Uuid::random();
  page.add(Event{.kind = "worker_joined", .worker = worker, .rank = 0, .ballot = {}, .step = 0, .detail = ""}, 7.0);
  page.add(
      cluster::StepReport{.step = 1, .loss = 2.5, .samples = 8, .step_ms = 4.0, .ballot = {.term = 3, .attempt = 1}},
      worker);
  RunView standing;
  standing.state = RunState::kRunning;
  standing.workers = {{.uuid = worker, .rank = 0, .host = "here", .pid = 1, .phase = "waiting", .step = 2}};
  const Time now = Time::clock::now();
  page.publish(standing, Speed(), now);
  EXPECT_FALSE(page.due(now));
  EXPECT_TRUE(page.due(now + 1s));
  const RunView view = told();
  EXPECT_TRUE(view.live);
  EXPECT_EQ(view.scheduler, chosen.scheduler);
  EXPECT_EQ(view.run_directory, std::filesystem::path(run.path()).lexically_normal().string());
  EXPECT_EQ(view.recipe, "gpt on text");
  EXPECT_EQ(view.state, RunState::kRunning);
  EXPECT_EQ(view.term, 3u);
  EXPECT_EQ(view.step, 1);
  EXPECT_EQ(view.steps, 50);
  EXPECT_EQ(view.rate, 2000.0);
  ASSERT_EQ(view.workers.size(), 1u);
  EXPECT_EQ(view.workers[0].joined_s, 7.0);
  EXPECT_EQ(view.workers[0].step_time->median_ms, 4.0);
}

TEST_F(StatusPageTest, TheFileIsForItsOwnerAndGoesWithThePage) {
  {
    const StatusPage page(options(), logger);
    struct stat status {};
    ASSERT_EQ(::stat(HttpFile::path_in(run.path()).c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777u, 0600u);
    EXPECT_EQ(HttpFile::read(run.path())->pid, getpid());
  }
  EXPECT_FALSE(std::filesystem::exists(HttpFile::path_in(run.path())));
}

TEST_F(StatusPageTest, NoneIsWanted) {
  StatusPage page(options(kNoHttp), logger);
  EXPECT_TRUE(page.url().empty());
  EXPECT_FALSE(page.due(Time::clock::now()));
  page.publish({}, Speed(), Time::clock::now());
  EXPECT_FALSE(HttpFile::read(run.path()));
}

TEST_F(StatusPageTest, AnAddressThatWasAskedForMustBeHad) {
  const StatusPage first(options("127.0.0.1:0"), logger);
  EXPECT_EQ(first.announcement(), "status page: " + first.url());
  const std::string address = HttpFile::read(run.path())->address;
  EXPECT_THROW(StatusPage(options(address), logger), Error);
  EXPECT_THROW(StatusPage(options("nonsense"), logger), Error);
}

TEST_F(StatusPageTest, GoesOnWhereAKilledOneListened) {
  std::string address;
  {
    const StatusPage killed(options("0.0.0.0:0"), logger);
    const HttpPlace place = *HttpFile::read(run.path());
    address = place.address;
    EXPECT_EQ(place.token.size(), 32u);
    std::filesystem::copy_file(HttpFile::path_in(run.path()), run.file("kept"));
  }
  std::filesystem::rename(run.file("kept"), HttpFile::path_in(run.path()));
  const HttpPlace before = *HttpFile::read(run.path());
  const StatusPage page(options("0.0.0.0:0"), logger);
  const HttpPlace place = *HttpFile::read(run.path());
  EXPECT_EQ(place.address, address);
  EXPECT_EQ(place.token, before.token);
  EXPECT_NE(place.scheduler, before.scheduler);
  // With that port taken, another one; with another host wanted, that one.
  const StatusPage second(options("0.0.0.0:0"), logger);
  EXPECT_NE(HttpFile::read(run.path())->address, address);
  const StatusPage third(options(), logger);
  EXPECT_TRUE(HttpFile::read(run.path())->address.starts_with("127.0.0.1:"));
}

// The run goes on without a page meanwhile: the address may be held by the scheduler whose place this one took.
TEST_F(StatusPageTest, WhoTakesOverTriesAnAddressAgain) {
  auto first = std::make_unique<StatusPage>(options("127.0.0.1:0"), logger);
  StatusPageOptions wanted = options(HttpFile::read(run.path())->address);
  wanted.restarted = true;
  StatusPage page(wanted, logger);
  EXPECT_TRUE(page.url().empty());
  Time now = Time::clock::now();
  EXPECT_TRUE(page.due(now));
  page.publish({}, Speed(), now);
  EXPECT_TRUE(page.url().empty());
  EXPECT_FALSE(page.due(now));
  first.reset();
  now += 2s;
  ASSERT_TRUE(page.due(now));
  page.publish({}, Speed(), now);
  EXPECT_EQ(page.url(), "http://" + wanted.http + "/");
  EXPECT_EQ(told().scheduler, wanted.scheduler);
  wanted.http = "nonsense";
  EXPECT_THROW(StatusPage(wanted, logger), Error);
}

// The scheduler is there before the workers, who write down the recipe.
TEST_F(StatusPageTest, LearnsOfTheRecipeOnceItIsWritten) {
  StatusPage page(options(), logger);
  page.publish({}, Speed(), Time::clock::now());
  EXPECT_EQ(told().recipe, "");
  std::ofstream(run.file("recipe.toml")) << "[model]\nkind = \"gpt\"\n[data]\nkind = \"text\"\n";
  page.add(Event{.kind = "training_started", .worker = {}, .rank = 0, .ballot = {}, .step = 0, .detail = ""}, 7.0);
  page.publish({}, Speed(), Time::clock::now());
  EXPECT_EQ(told().recipe, "gpt on text");
}

TEST_F(StatusPageTest, TellsHowTheRunEnded) {
  StatusPage page(options(), logger);
  RunView end;
  end.state = RunState::kStopped;
  end.reason = "stopped by SIGTERM";
  page.publish_last(end, Speed());
  EXPECT_EQ(told().state, RunState::kStopped);
  EXPECT_EQ(told().reason, "stopped by SIGTERM");
}

TEST_F(StatusPageTest, AFileThatMakesNoSenseCountsAsNone) {
  for (const char* text : {"", "{}", "[]", "{\"schema\": 2}", "garbage", "{\"schema\": 1, \"address\": 3}"}) {
    std::ofstream(HttpFile::path_in(run.path())) << text;
    EXPECT_FALSE(HttpFile::read(run.path())) << text;
  }
  const StatusPage page(options(), logger);
  EXPECT_TRUE(HttpFile::read(run.path()));
}

}  // namespace
}  // namespace convoy::scheduler
