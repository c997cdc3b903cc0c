// The scheduler end to end: real sockets, workers played by threads, and the files that a run leaves.
#include "scheduler/scheduler.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <deque>
#include <filesystem>
#include <map>
#include <mutex>
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
      : Served(run_directory, [&](SchedulerOptions& options) {
          options.world = world;
          options.limits = limits;
        }) {}
  template <typename Set>
  Served(const std::string& run_directory, Set set) : scheduler_(options(run_directory, set), logger_) {
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
  template <typename Set>
  SchedulerOptions options(const std::string& run_directory, Set set) {
    SchedulerOptions out;
    out.run_directory = run_directory;
    out.token = make_token();
    out.steps = 3;
    set(out);
    out.on_progress = [this](const Progress& value) { progress.push_back(value); };
    out.on_notice = [this](const std::string& value) { notices.push_back(value); };
    return out;
  }

  Logger logger_;
  Scheduler scheduler_;
  std::thread thread_;
  int exit_code_ = -1;
};

// A worker, or an agent, as the scheduler sees it. A thread answers seals and keeps what arrives.
class Player {
 public:
  Player(Served& scheduler, std::int32_t rank) : Player(scheduler->credentials(), rank, Uuid::random(), {}) {}
  // A worker that lives on and meets another scheduler.
  Player(const Credentials& credentials, std::int32_t rank, const Uuid& self, const Standing& stands)
      : uuid(self), link_(credentials, uuid), rank_(rank), standing_(stands) {
    ballot_ = standing_.entered;
    thread_ = std::jthread([this](const std::stop_token& stop) {
      while (!stop.stop_requested()) listen();
    });
  }
  ~Player() { hang_up(); }

  void enter(const std::string& build = "same") {
    Register message{.rank = rank_,
                     .host = "node",
                     .pid = pid(),
                     .meeting_place = "socket",
                     .donor = {},
                     .fingerprint = {},
                     .standing = standing()};
    message.fingerprint.add("build", build);
    send(message);
  }
  std::int32_t pid() const { return 4240 + rank_; }
  Ballot ballot() const {
    const std::lock_guard lock(mutex_);
    return ballot_;
  }
  Standing standing() const {
    const std::lock_guard lock(mutex_);
    return standing_;
  }
  void send(Body body) { link_.send(ballot(), std::move(body)); }
  // It has done the steps up to `step`.
  void applied(std::int64_t step) {
    {
      const std::lock_guard lock(mutex_);
      standing_.applied = step;
      standing_.chain = 1000 + static_cast<std::uint64_t>(step);
      standing_.previous_chain = standing_.chain - 1;
    }
    send(Heartbeat{.step = step, .phase = Phase::kReducing, .activity = 0, .applied = step});
  }
  void leave(std::int32_t exit_code, std::int64_t peak_rss_bytes = 0) {
    send(Leave{.exit_code = exit_code, .reason = "", .step = 0, .peak_rss_bytes = peak_rss_bytes});
    hang_up();
    link_.close(2s);
  }
  void vanish() {
    hang_up();
    link_.close(0ms);
  }

  // The next message of this kind; what comes before it is passed over.
  template <typename Kind>
  Kind next() {
    const auto deadline = Clock::now() + 10s;
    std::unique_lock lock(mutex_);
    while (Clock::now() < deadline) {
      while (!arrived_.empty()) {
        const Message message = std::move(arrived_.front());
        arrived_.pop_front();
        if (const Kind* body = std::get_if<Kind>(&message.body)) return *body;
      }
      changed_.wait_for(lock, 100ms);
    }
    throw std::runtime_error("the message did not come");
  }
  void await_final() {
    while (!next<Recorded>().final) {
    }
  }

  const Uuid uuid;

 private:
  void hang_up() {
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
  }
  void listen() {
    std::optional<Message> message;
    try {
      message = link_.receive(20ms);
    } catch (const Error&) {
      std::this_thread::sleep_for(20ms);
      return;
    }
    if (!message) return;
    std::optional<std::pair<Ballot, Body>> answer;
    {
      const std::lock_guard lock(mutex_);
      if (const auto* seal = std::get_if<Seal>(&message->body)) {
        standing_.sealed = message->ballot;
        const bool kept = seal->keep != Ballot{} && seal->keep == standing_.entered;
        standing_.applied = std::max(standing_.applied, seal->at_step);
        answer = {message->ballot, SealAnswer{.standing = standing_, .kept = kept, .unreachable = {}}};
      } else if (const auto* epoch = std::get_if<Epoch>(&message->body)) {
        ballot_ = standing_.entered = message->ballot;
        standing_.has_state = true;
        standing_.applied = epoch->resume_step;
        standing_.chain = epoch->chain;
        standing_.previous_chain = epoch->previous_chain;
        answer = {ballot_, Heartbeat{.step = epoch->resume_step, .applied = epoch->resume_step}};
      } else if (std::holds_alternative<Copy>(message->body)) {
        answer = {ballot_, Ready{.step = 0}};
      }
      arrived_.push_back(*std::move(message));
    }
    if (answer) link_.send(answer->first, std::move(answer->second));
    changed_.notify_all();
  }

  Link link_;
  const std::int32_t rank_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Ballot ballot_;
  Standing standing_;
  std::deque<Message> arrived_;
  std::jthread thread_;
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

FinalReport final_report() {
  FinalReport out;
  out.steps = 3;
  out.parameters_hash = std::string(32, 'a');
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
    for (int step = 1; step <= 3; ++step) second.applied(step);
    second.await_final();
    second.leave(0, 2'000'000);
  });
  first.enter();
  const Epoch epoch = first.next<Epoch>();
  EXPECT_EQ(epoch.members.size(), 2U);
  EXPECT_EQ(epoch.members.back().uuid, second.uuid);
  EXPECT_EQ(first.ballot(), (Ballot{.term = 1, .attempt = 1}));
  for (int step = 1; step <= 3; ++step) {
    first.send(report(step));
    first.send(report(step));  // repeated, as by a worker that saw no acknowledgement
    while (first.next<Recorded>().step < step) {
    }
  }
  for (int step = 2; step <= 3; ++step) first.send(EventReport{.kind = "step_skipped", .step = step, .detail = ""});
  first.send(EvalReport{.step = 3, .loss = 2.125, .accuracy = 0.5});
  first.send(EvalReport{.step = 3, .loss = 2.125, .accuracy = 0.5});  // as by whoever is rank 0 next
  first.send(final_report());
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

TEST(SchedulerTest, WhenAWorkerIsKilledTheOthersGoOnAndItsReplacementComesIn) {
  const Scratch scratch;
  Served scheduler(scratch.path(), 2);
  Player agent(scheduler, -1);
  Player first(scheduler, 0);
  auto second = std::make_unique<Player>(scheduler, 1);
  agent.send(RegisterAgent{.host = "node", .pid = 1});
  second->enter();
  first.enter();
  first.next<Epoch>();
  second->next<Epoch>();
  first.send(report(1));
  first.applied(1);
  while (first.next<Recorded>().step < 1) {
  }
  second->vanish();
  const auto start = Clock::now();
  agent.send(WorkerEnded{.rank = 1, .pid = 4241, .exit_code = 0, .signal = 9, .replaced = true});
  const Epoch alone = first.next<Epoch>();
  EXPECT_LT(Clock::now() - start, 1s);
  EXPECT_EQ(alone.members.size(), 1U);
  EXPECT_EQ(alone.resume_step, 1);
  EXPECT_EQ(agent.next<Notice>().text,
            "step 1: worker 1 (pid 4241) was killed by signal 9 (SIGKILL); 1 worker goes on");
  Player replacement(scheduler, 1);
  replacement.enter();
  EXPECT_EQ(replacement.next<Copy>().donors.at(0).uuid, first.uuid);
  EXPECT_EQ(replacement.next<Epoch>().members.size(), 2U);
  EXPECT_EQ(first.next<Epoch>().members.at(1).uuid, replacement.uuid);
  EXPECT_EQ(agent.next<Notice>().text, "step 3: worker 1 (pid 4241) joined; 2 workers");
  first.send(report(2));
  first.send(report(3));
  first.send(final_report());
  first.await_final();
  replacement.await_final();
  first.leave(0);
  replacement.leave(0);
  EXPECT_EQ(scheduler.wait(), 0);
  EXPECT_EQ(lines_of(scratch.file("metrics.jsonl")).size(), 3U);
  const auto kinds = kinds_of(scratch.file("events.jsonl"));
  EXPECT_EQ(std::count(kinds.begin(), kinds.end(), "epoch"), 3);
  EXPECT_EQ(std::count(kinds.begin(), kinds.end(), "worker_lost"), 1);
}

TEST(SchedulerTest, AnotherSchedulerGoesOnWithTheWorkers) {
  const Scratch scratch;
  std::vector<Standing> standings;
  std::vector<Uuid> uuids;
  {
    Served scheduler(scratch.path(), 2);
    Player first(scheduler, 0);
    Player second(scheduler, 1);
    first.enter();
    second.enter();
    first.next<Epoch>();
    second.next<Epoch>();
    first.send(report(1));
    while (first.next<Recorded>().step < 1) {
    }
    first.applied(1);
    second.applied(1);
    standings = {first.standing(), second.standing()};
    uuids = {first.uuid, second.uuid};
    scheduler->stop_now("the test goes on");
    first.leave(1);
    second.leave(1);
    scheduler.wait();
  }
  Served scheduler(scratch.path(), [](SchedulerOptions& options) {
    options.world = 2;
    options.restarted = true;
  });
  Player first(scheduler->credentials(), 0, uuids[0], standings[0]);
  Player second(scheduler->credentials(), 1, uuids[1], standings[1]);
  first.enter();
  second.enter();
  EXPECT_EQ(first.next<Recorded>().step, 1) << "it knows what is on record, and says so at once";
  first.send(report(1));  // once more, to be sure
  first.send(report(2));
  while (first.next<Recorded>().step < 2) {
  }
  second.vanish();
  const Epoch alone = first.next<Epoch>();
  EXPECT_EQ(alone.members.size(), 1U);
  EXPECT_EQ(first.ballot().term, 2U);
  first.send(report(3));
  first.send(final_report());
  first.await_final();
  first.leave(0);
  EXPECT_EQ(scheduler.wait(), 0);
  EXPECT_EQ(lines_of(scratch.file("metrics.jsonl")).size(), 3U);
  EXPECT_TRUE(read_journal(scratch.file("journal")).size() == 4U) << "two terms, two epochs";
}

TEST(SchedulerTest, TellsOfADamagedJournalAsSoonAsALauncherIsThere) {
  const Scratch scratch;
  const std::string segment = scratch.file("journal/term-1");
  { const Journal journal(scratch.file("journal"), Uuid::random()); }
  std::string bytes = contents_of(segment);
  bytes[bytes.find_last_not_of('\0') - 20] ^= 0x04;
  std::ofstream(segment, std::ios::binary | std::ios::trunc) << bytes;
  Served scheduler(scratch.path(), [](SchedulerOptions& options) { options.restarted = true; });
  while (kinds_of(scratch.file("events.jsonl")).empty()) std::this_thread::sleep_for(10ms);
  Player agent(scheduler, -1);
  agent.send(RegisterAgent{.host = "node", .pid = 1});
  EXPECT_EQ(agent.next<Notice>().text, "warning: " + segment +
                                           " is damaged at byte 0: expected a whole record there, and its checksum is "
                                           "wrong; the rest of it counts");
  EXPECT_EQ(kinds_of(scratch.file("events.jsonl"))[0], "journal_damaged");
}

TEST(SchedulerTest, ASchedulerOfALaterTermEndsTheEarlierQuietly) {
  const Scratch scratch;
  Served earlier(scratch.path(), 1);
  Player worker(earlier, 0);
  worker.enter();
  worker.next<Epoch>();
  const auto lines = lines_of(scratch.file("events.jsonl")).size();
  const Journal later(scratch.file("journal"), Uuid::random());
  worker.send(EventReport{.kind = "checkpoint", .step = 1, .detail = "folder"});
  EXPECT_EQ(earlier.wait(), 1);
  EXPECT_NE(earlier->reason().find("another scheduler of this run has begun"), std::string::npos) << earlier->reason();
  EXPECT_THROW(worker.next<Stop>(), std::runtime_error);
  EXPECT_EQ(lines_of(scratch.file("events.jsonl")).size(), lines) << "what it writes counts no more";
}

// A scheduler in a process of its own, which can be stopped.
class Stoppable {
 public:
  explicit Stoppable(const std::string& run_directory) {
    int ends[2] = {-1, -1};
    EXPECT_EQ(pipe(ends), 0);
    credentials_.token = make_token();
    pid_ = fork();
    if (pid_ == 0) serve(run_directory, ends[1]);
    close(ends[1]);
    for (char letter = 0; read(ends[0], &letter, 1) == 1 && letter != ' ';) credentials_.address += letter;
    for (char letter = 0; read(ends[0], &letter, 1) == 1 && letter != ' ';) credentials_.public_key += letter;
    close(ends[0]);
  }
  ~Stoppable() {
    if (pid_ < 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  const Credentials& credentials() const { return credentials_; }
  // Once it stands still.
  void stop() {
    kill(pid_, SIGSTOP);
    waitpid(pid_, nullptr, WUNTRACED);
  }
  void go_on() { kill(pid_, SIGCONT); }
  int wait() {
    int status = -1;
    waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  [[noreturn]] void serve(const std::string& run_directory, int out) {
    SchedulerOptions options;
    options.run_directory = run_directory;
    options.token = credentials_.token;
    options.steps = 3;
    options.world = 1;
    Logger logger;
    logger.mute_terminal();
    int code = 99;
    try {
      Scheduler scheduler(options, logger);
      const std::string words = scheduler.credentials().address + " " + scheduler.credentials().public_key + " ";
      if (write(out, words.data(), words.size()) > 0) code = scheduler.run();
    } catch (const std::exception&) {
      code = 98;
    }
    _exit(code);
  }

  Credentials credentials_;
  pid_t pid_ = -1;
};

std::map<std::string, std::string> files_below(const std::string& folder) {
  std::map<std::string, std::string> contents;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) contents[entry.path().string()] = contents_of(entry.path().string());
  }
  return contents;
}

// What was said to it while it slept waits for it; the run has another scheduler by then.
TEST(SchedulerTest, AStoppedSchedulerThatWasReplacedWritesNothingWhenItWakes) {
  const Scratch scratch;
  Stoppable earlier(scratch.path());
  Player worker(earlier.credentials(), 0, Uuid::random(), {});
  worker.enter();
  worker.next<Epoch>();
  worker.send(report(1));
  while (worker.next<Recorded>().step < 1) {
  }
  earlier.stop();
  worker.send(report(2));
  worker.send(TextReport{.step = 2, .tag = "recipe", .text = "    seed = 1"});
  worker.send(EvalReport{.step = 2, .loss = 2.125, .accuracy = 0.5});
  worker.send(EventReport{.kind = "checkpoint", .step = 2, .detail = "folder"});
  worker.send(report(3));
  worker.send(final_report());
  std::this_thread::sleep_for(100ms);  // all of that is on its way
  {
    Served later(scratch.path(), [](SchedulerOptions& options) {
      options.world = 1;
      options.restarted = true;
    });
    Player same(later->credentials(), 0, worker.uuid, worker.standing());
    same.enter();
    EXPECT_EQ(same.next<Recorded>().step, 1);
    for (int step = 2; step <= 3; ++step) same.send(report(step));
    same.send(final_report());
    same.await_final();
    same.applied(3);
    same.leave(0);
    EXPECT_EQ(later.wait(), 0);
  }
  const auto before = files_below(scratch.path());
  EXPECT_EQ(lines_of(scratch.file("metrics.jsonl")).size(), 3U);
  earlier.go_on();
  EXPECT_EQ(earlier.wait(), 1);
  const std::map<std::string, std::string> after = files_below(scratch.path());
  EXPECT_EQ(after.size(), before.size());
  for (const auto& [file, contents] : before) {
    const auto found = after.find(file);
    EXPECT_TRUE(found != after.end() && found->second == contents) << file << " was changed or removed";
  }
}

TEST(SchedulerTest, WithoutRebuildingTheOthersStopWhenAWorkerIsKilled) {
  const Scratch scratch;
  Served scheduler(scratch.path(), [](SchedulerOptions& options) {
    options.world = 2;
    options.rebuilds = false;
  });
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
  const std::string reason = "worker 1 (pid 4241) does not fit the run: build: 'B' here, 'A' there";
  EXPECT_EQ(second.next<Refuse>().reason, reason);
  EXPECT_EQ(first.next<Stop>().reason, reason);
  first.leave(1);
  EXPECT_EQ(scheduler.wait(), 2);
}

TEST(SchedulerTest, SavesARunWhoseRecordsCannotBeKept) {
  const Scratch scratch;
  std::filesystem::create_symlink("/dev/full", scratch.file("metrics.jsonl"));
  Served scheduler(scratch.path(), 1);
  Player worker(scheduler, 0);
  worker.enter();
  worker.next<Epoch>();
  worker.send(report(1));
  const Stop stop = worker.next<Stop>();
  EXPECT_EQ(stop.reason, "cannot write " + scratch.file("metrics.jsonl") + ": No space left on device");
  EXPECT_TRUE(stop.save);
  EXPECT_EQ(stop.exit_code, 75);
  worker.send(EventReport{.kind = "checkpoint", .step = 1, .detail = "folder"});
  worker.leave(75);
  EXPECT_EQ(scheduler.wait(), 75);
  EXPECT_NE(scheduler->reason().find("No space left on device; the last checkpoint is of step 1"), std::string::npos)
      << scheduler->reason();
}

TEST(SchedulerTest, GoesOnWithoutTensorBoard) {
  const Scratch scratch;
  std::ofstream(scratch.file("tensorboard")) << "a file in its place";
  Served scheduler(scratch.path(), 1);
  Player worker(scheduler, 0);
  worker.enter();
  worker.next<Epoch>();
  for (int step = 1; step <= 3; ++step) worker.send(report(step));
  worker.send(final_report());
  worker.await_final();
  worker.leave(0);
  EXPECT_EQ(scheduler.wait(), 0);
  ASSERT_EQ(scheduler.notices.size(), 1U);
  EXPECT_NE(scheduler.notices[0].find(scratch.file("tensorboard")), std::string::npos) << scheduler.notices[0];
  EXPECT_EQ(std::ranges::count(kinds_of(scratch.file("events.jsonl")), "tensorboard_lost"), 1);
  EXPECT_EQ(lines_of(scratch.file("metrics.jsonl")).size(), 3U);
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
