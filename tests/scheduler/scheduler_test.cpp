// The scheduler end to end: real sockets, workers played by threads, and the files that a run leaves.
#include "scheduler/scheduler.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "core/base/error.h"
#include "scheduler/journal.h"
#include "tests/scheduler/event_reader.h"
#include "tests/scheduler/scratch.h"

namespace convoy::scheduler {
namespace {

using namespace cluster;
using namespace std::chrono_literals;
using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;

// A scheduler that serves in a thread of its own.
class Served {
 public:
  explicit Served(const std::string& run_directory, std::int32_t world, const Limits& limits = {})
      : scheduler_(options(run_directory, world, limits), logger_) {
    logger_.mute_terminal();
    thread_ = std::thread([this] { exit_code_ = scheduler_.run(); });
  }
  ~Served() {
    if (thread_.joinable()) {
      scheduler_.request_stop("the test is over");
      thread_.join();
    }
  }
  int wait() {
    thread_.join();
    return exit_code_;
  }
  Scheduler* operator->() { return &scheduler_; }

  std::vector<Progress> progress;  // once wait() has returned
  std::vector<std::string> notices;

 private:
  SchedulerOptions options(const std::string& run_directory, std::int32_t world, const Limits& limits) {
    SchedulerOptions out;
    out.run_directory = run_directory;
    out.token = make_token();
    out.world = world;
    out.steps = 3;
    out.limits = limits;
    out.on_progress = [this](const Progress& value) { progress.push_back(value); };
    out.on_notice = [this](const std::string& value) { notices.push_back(value); };
    return out;
  }

  Logger logger_;
  Scheduler scheduler_;
  std::thread thread_;
  int exit_code_ = -1;
};

// A worker, or an agent, as the scheduler sees it.
class Player {
 public:
  Player(Served& scheduler, std::int32_t rank) : link_(scheduler->credentials(), uuid), rank_(rank) {}

  void enter(const std::string& build = "same") {
    Register message{.rank = rank_, .host = "node", .pid = 4240 + rank_, .meeting_place = "socket", .fingerprint = {}};
    message.fingerprint.add("build", build);
    send(message);
  }
  void send(Body body) { link_.send(ballot, std::move(body)); }
  void leave(std::int32_t exit_code, std::int64_t peak_rss_bytes = 0) {
    send(Leave{.exit_code = exit_code, .reason = "", .step = 0, .peak_rss_bytes = peak_rss_bytes});
    link_.close(2s);
  }
  void vanish() { link_.close(0ms); }

  // The next message of this kind; what comes before it is passed over.
  template <typename Kind>
  Kind next() {
    const auto deadline = Clock::now() + 10s;
    while (Clock::now() < deadline) {
      auto message = link_.receive(100ms);
      if (!message) continue;
      if (std::holds_alternative<Epoch>(message->body)) ballot = message->ballot;
      if (const Kind* body = std::get_if<Kind>(&message->body)) return *body;
    }
    throw std::runtime_error("the message did not come");
  }
  void await_final() {
    while (!next<Recorded>().final) {
    }
  }

  const Uuid uuid = Uuid::random();
  Ballot ballot;

 private:
  Link link_;
  std::int32_t rank_;
};

StepReport report(std::int64_t step) {
  StepReport out;
  out.step = step;
  out.loss = 1.0 / static_cast<double>(step);
  out.samples = 16;
  out.tokens = 1024;
  out.world = 2;
  return out;
}

std::vector<std::string> kinds_of(const std::string& path) {
  std::vector<std::string> kinds;
  for (const std::string& line : lines_of(path)) kinds.push_back(Json::parse(line).at("kind"));
  return kinds;
}

TEST(SchedulerTest, SeesARunFromRegistrationToItsFiles) {
  const Scratch scratch;
  Served scheduler(scratch.path(), 2);
  Player agent(scheduler, -1);
  agent.send(RegisterAgent{.host = "node", .pid = 1});
  Player first(scheduler, 0);
  Player second(scheduler, 1);
  std::thread other([&second] {
    second.enter();
    second.next<Epoch>();
    second.send(EventReport{.kind = "straggler", .step = 2, .detail = "slow disk"});
    for (int step = 1; step <= 3; ++step) second.send(Heartbeat{.step = step, .phase = Phase::kReducing});
    second.leave(0, 2'000'000);
  });
  first.enter();
  const Epoch epoch = first.next<Epoch>();
  EXPECT_EQ(epoch.members.size(), 2U);
  EXPECT_EQ(epoch.members.back().uuid, second.uuid);
  EXPECT_EQ(first.ballot, (Ballot{.term = 1, .attempt = 1}));
  for (int step = 1; step <= 3; ++step) {
    first.send(report(step));
    first.send(report(step));  // repeated, as by a worker that saw no acknowledgement
    while (first.next<Recorded>().step < step) {
    }
  }
  for (int step = 2; step <= 3; ++step) first.send(EventReport{.kind = "step_skipped", .step = step, .detail = ""});
  first.send(EvalReport{.step = 3, .loss = 2.125, .accuracy = 0.5});
  FinalReport final;
  final.steps = 3;
  final.parameters_hash = std::string(32, 'a');
  first.send(final);
  first.await_final();
  EXPECT_TRUE(std::filesystem::exists(scratch.file("final.json"))) << "the worker was told that it is there";
  EXPECT_EQ(agent.next<Notice>().text.substr(0, 38), "step 2: warning: the loss or its gradi") << "and once only:";
  EXPECT_EQ(agent.next<Notice>().text, "step 3: held-out loss 2.1250, accuracy 50.00 %");
  other.join();
  first.leave(0, 1'000'000);
  EXPECT_EQ(scheduler.wait(), 0);
  EXPECT_EQ(scheduler->reason(), "");

  const auto metrics = lines_of(scratch.file("metrics.jsonl"));
  ASSERT_EQ(metrics.size(), 3U);
  EXPECT_EQ(Json::parse(metrics[2]).at("step"), 3);
  EXPECT_EQ(Json::parse(metrics[2]).at("loss"), 1.0 / 3.0);
  EXPECT_EQ(Json::parse(metrics[2]).at("ballot"), "1.1");
  const Json final_json = Json::parse(contents_of(scratch.file("final.json")));
  EXPECT_EQ(final_json.at("steps"), 3);
  EXPECT_EQ(final_json.at("peak_rss_bytes"), 2'000'000);
  const auto kinds = kinds_of(scratch.file("events.jsonl"));
  ASSERT_GE(kinds.size(), 3U);
  EXPECT_EQ(std::vector<std::string>(kinds.begin(), kinds.begin() + 3),
            (std::vector<std::string>{"worker_joined", "worker_joined", "epoch"}));
  EXPECT_EQ(kinds.back(), "run_finished");
  for (const char* kind : {"straggler", "eval", "worker_left"}) {
    EXPECT_NE(std::find(kinds.begin(), kinds.end(), kind), kinds.end()) << kind;
  }
  const auto journal = read_journal_segment(scratch.file("journal/term-1"));
  ASSERT_EQ(journal.size(), 2U);
  EXPECT_EQ(std::get<EpochRecord>(journal[1]).epoch, epoch);
  ASSERT_FALSE(scheduler.progress.empty());
  EXPECT_EQ(scheduler.progress.back().step, 3);
  EXPECT_EQ(scheduler.progress.back().steps, 3);
  EXPECT_EQ(scheduler.notices.size(), 2U);
}

TEST(SchedulerTest, ShowsWhatRankZeroReportsWhileTheRunGoesOn) {
  const Scratch scratch;
  Served scheduler(scratch.path(), 1);
  Player worker(scheduler, 0);
  worker.enter();
  worker.next<Epoch>();
  worker.send(TextReport{.step = 0, .tag = "recipe", .text = "    seed = 1"});
  worker.send(report(1));
  worker.send(HistogramReport{.step = 1, .tag = "weights/w", .count = 1.0, .limits = {2.0}, .counts = {1.0}});
  worker.send(EvalReport{.step = 1, .loss = 2.125, .accuracy = 0.5});
  const std::string file = event_files(scratch).at(0);
  const auto deadline = Clock::now() + 10s;
  while (events_of(file).size() < 5 && Clock::now() < deadline) std::this_thread::sleep_for(50ms);
  std::vector<std::string> tags;
  for (const tensorboard::Event& event : events_of(file)) {
    if (event.has_summary()) tags.push_back(event.summary().value(0).tag());
  }
  EXPECT_EQ(tags, (std::vector<std::string>{"recipe", "train/loss", "weights/w", "eval/loss"}));
}

TEST(SchedulerTest, StopsTheOthersWhenAWorkerIsKilled) {
  const Scratch scratch;
  Served scheduler(scratch.path(), 2);
  Player agent(scheduler, -1);
  Player first(scheduler, 0);
  Player second(scheduler, 1);
  agent.send(RegisterAgent{.host = "node", .pid = 1});
  first.enter();
  second.enter();
  first.next<Epoch>();
  second.next<Epoch>();
  first.send(report(1));
  while (first.next<Recorded>().step < 1) {
  }
  second.vanish();
  agent.send(WorkerEnded{.rank = 1, .pid = 4241, .exit_code = 0, .signal = 9});
  const std::string reason = "worker 1 (pid 4241) was killed by signal 9 (SIGKILL) at step 1";
  const auto start = Clock::now();
  EXPECT_EQ(first.next<Stop>().reason, reason);
  EXPECT_EQ(agent.next<Stop>().reason, reason);
  first.leave(1);
  EXPECT_EQ(scheduler.wait(), 1);
  EXPECT_LT(Clock::now() - start, 5s);
  EXPECT_EQ(scheduler->reason(), reason);
}

TEST(SchedulerTest, EndsSoonOnceEverybodyIsGoneWithoutAWord) {
  const Scratch scratch;
  Served scheduler(scratch.path(), 2);
  auto first = std::make_unique<Player>(scheduler, 0);
  auto second = std::make_unique<Player>(scheduler, 1);
  first->enter();
  second->enter();
  first->next<Epoch>();
  second->next<Epoch>();
  const auto start = Clock::now();
  first.reset();
  second.reset();
  EXPECT_EQ(scheduler.wait(), 1);
  EXPECT_LT(Clock::now() - start, 5s);
  EXPECT_NE(scheduler->reason().find("closed its connection"), std::string::npos) << scheduler->reason();
}

TEST(SchedulerTest, EndsWhenAskedTo) {
  const Scratch scratch;
  Served scheduler(scratch.path(), 1);
  Player worker(scheduler, 0);
  worker.enter();
  worker.next<Epoch>();
  scheduler->request_stop("stopped by SIGTERM");
  const Stop stop = worker.next<Stop>();
  EXPECT_EQ(stop.exit_code, 1);
  EXPECT_EQ(stop.reason, "stopped by SIGTERM");
  worker.leave(1);
  EXPECT_EQ(scheduler.wait(), 1);
  EXPECT_EQ(scheduler->reason(), "stopped by SIGTERM");
  EXPECT_EQ(kinds_of(scratch.file("events.jsonl")).back(), "worker_left");
}

TEST(SchedulerTest, EndsWhenAskedToBeforeAnybodyCame) {
  const Scratch scratch;
  Served scheduler(scratch.path(), 1);
  const auto start = Clock::now();
  scheduler->request_stop("stopped by SIGINT");
  EXPECT_EQ(scheduler.wait(), 1);
  EXPECT_LT(Clock::now() - start, 5s);
}

TEST(SchedulerTest, SaysWhoIsMissing) {
  const Scratch scratch;
  Served scheduler(scratch.path(), 3, {.start_timeout = 1.5});
  Player worker(scheduler, 1);
  worker.enter();
  EXPECT_EQ(worker.next<Stop>().reason, "2 of 3 workers have not registered after 1.5 s: ranks 0, 2");
  worker.leave(1);
  EXPECT_EQ(scheduler.wait(), 1);
}

TEST(SchedulerTest, ShowsThatItLivesToAWorkerThatWaitsForOthers) {
  const Scratch scratch;
  Served scheduler(scratch.path(), 2);
  Player worker(scheduler, 0);
  worker.enter();
  for (int i = 0; i < 2; ++i) EXPECT_FALSE(worker.next<Recorded>().final);
}

TEST(SchedulerTest, TurnsAwayAWorkerThatDiffers) {
  const Scratch scratch;
  Served scheduler(scratch.path(), 2);
  Player first(scheduler, 0);
  first.enter("A");
  while (kinds_of(scratch.file("events.jsonl")).empty()) std::this_thread::sleep_for(10ms);
  Player second(scheduler, 1);
  second.enter("B");
  const std::string reason = "worker 1 (pid 4241) differs from worker 0 in build: 'B' here, 'A' there";
  EXPECT_EQ(second.next<Refuse>().reason, reason);
  EXPECT_EQ(first.next<Stop>().reason, reason);
  first.leave(1);
  EXPECT_EQ(scheduler.wait(), 1);
}

TEST(SchedulerTest, StopsARunWhoseRecordsCannotBeKept) {
  const Scratch scratch;
  std::filesystem::create_symlink("/dev/full", scratch.file("metrics.jsonl"));
  Served scheduler(scratch.path(), 1);
  Player worker(scheduler, 0);
  worker.enter();
  worker.next<Epoch>();
  worker.send(report(1));
  EXPECT_EQ(worker.next<Stop>().reason, "cannot write " + scratch.file("metrics.jsonl") + ": No space left on device");
  worker.leave(1);
  EXPECT_EQ(scheduler.wait(), 1);
}

TEST(SchedulerTest, RefusesADirectoryThatIsNotThere) {
  Logger logger;
  logger.mute_terminal();
  SchedulerOptions options;
  options.run_directory = "/dev/null/run";
  options.token = make_token();
  EXPECT_THROW(Scheduler(options, logger), Error);
}

TEST(SchedulerTest, RestsWhileNothingHappens) {
  const Scratch scratch;
  Served scheduler(scratch.path(), 2);
  Player worker(scheduler, 0);
  worker.enter();
  const auto cpu_s = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
  };
  std::this_thread::sleep_for(100ms);
  const double before = cpu_s();
  std::this_thread::sleep_for(1s);
  EXPECT_LT(cpu_s() - before, 0.3) << "it spins";
}

}  // namespace
}  // namespace convoy::scheduler
