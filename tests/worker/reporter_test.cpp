// A worker's line to a scheduler that this test plays.
#include "worker/reporter.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <thread>

#include "cluster/link.h"
#include "core/base/error.h"
#include "core/base/exit_code.h"

namespace convoy::worker {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

// Before the first thread of any test, so that no kernel's thread takes the signal from the receiver.
[[maybe_unused]] const int kBlocked = [] {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  return pthread_sigmask(SIG_BLOCK, &set, nullptr);
}();

class ReporterTest : public testing::Test {
 protected:
  ReporterTest() { logger_.mute_terminal(); }

  // Serves until `done`.
  template <typename Done>
  void serve_until(Done done) {
    while (!done()) {
      const auto message = hub_->receive(milliseconds(20));
      if (!message) continue;
      if (const auto* registration = std::get_if<cluster::Register>(&message->body)) {
        worker_ = message->sender;
        registrations_.push_back(*registration);
      }
      heard_.push_back(*message);
    }
  }
  void serve_until_registered() {
    serve_until([this] { return worker_.has_value(); });
  }
  void send(cluster::Body body, const Ballot& ballot = {.term = 1, .attempt = 1}) {
    hub_->send(*worker_, ballot, std::move(body));
  }
  template <typename Kind>
  std::vector<Kind> heard() const {
    std::vector<Kind> found;
    for (const cluster::Message& message : heard_) {
      if (const auto* body = std::get_if<Kind>(&message.body)) found.push_back(*body);
    }
    return found;
  }
  void wait_for_end() {
    while (!reporter_.ending()) std::this_thread::sleep_for(milliseconds(5));
  }
  // What the reporter says became of it.
  Error failure() {
    try {
      reporter_.fail_ended();
    } catch (const Error& error) {
      return error;
    }
  }
  std::string silence(const std::string& time) const {
    return "the scheduler at " + hub_->credentials().address + " has been silent for " + time;
  }

  std::optional<cluster::Hub> hub_{std::in_place, "tcp://127.0.0.1:0", cluster::make_token(), Uuid::random()};
  SignalReceiver signals_{SIGUSR1};
  Logger logger_;
  std::optional<Uuid> worker_;
  std::vector<cluster::Message> heard_;
  std::vector<cluster::Register> registrations_;
  std::atomic<int> ends_ = 0;
  std::atomic<int> seals_ = 0;
  std::atomic<std::int64_t> applied_ = 0;
  std::atomic<std::uint64_t> sealed_term_ = 0;
  Reporter reporter_{
      {.scheduler = hub_->credentials(),
       .self = Uuid::random(),
       .heartbeat = milliseconds(100),
       .scheduler_silence = milliseconds(1000),
       .activity = [] { return std::uint64_t{0}; },
       .standing =
           [this] { return cluster::Standing{.sealed = {.term = sealed_term_, .attempt = 0}, .applied = applied_}; },
       .on_seal = [this](const Ballot&, const cluster::Seal&) { ++seals_; },
       .on_epoch = [](const Ballot&, const cluster::Epoch&) {},
       .on_end = [this] { ++ends_; },
       .on_second_signal = {}},
      signals_,
      logger_};
};

TEST_F(ReporterTest, ASilentSchedulerIsNotWaitedForForEver) {
  reporter_.enroll({});
  serve_until_registered();
  wait_for_end();
  EXPECT_EQ(reporter_.ending(), Reporter::End::kLost);
  EXPECT_EQ(failure().code(), ErrorCode::kPeerLost);
  EXPECT_EQ(failure().what(), silence("1 s"));
  EXPECT_EQ(ends_, 1);
}

TEST_F(ReporterTest, ASchedulerThatWaitsForOthersIsWaitedFor) {
  reporter_.enroll({});
  serve_until_registered();
  const auto late = Clock::now() + milliseconds(2500);
  auto next = Clock::now();
  serve_until([&] {
    if (Clock::now() >= next) send(cluster::Recorded{});
    if (Clock::now() >= next) next += milliseconds(250);
    return Clock::now() > late;
  });
  EXPECT_EQ(reporter_.ending(), std::nullopt);
}

TEST_F(ReporterTest, ARefusalIsWrongUsage) {
  reporter_.enroll({});
  serve_until_registered();
  send(cluster::Refuse{.reason = "this worker does not fit the run"});
  wait_for_end();
  EXPECT_EQ(reporter_.ending(), Reporter::End::kRefused);
  EXPECT_EQ(failure().code(), ErrorCode::kUsage) << "nobody who is started like it would do better";
}

TEST_F(ReporterTest, AnExclusionIsNoWrongUsage) {
  reporter_.enroll({});
  serve_until_registered();
  send(cluster::Exclude{.worker = {}, .reason = "it hangs"});
  wait_for_end();
  EXPECT_EQ(reporter_.ending(), Reporter::End::kExcluded);
  EXPECT_EQ(failure().code(), ErrorCode::kInvalidArgument);
}

TEST_F(ReporterTest, ASilentSchedulerIsNotWaitedForToRecord) {
  reporter_.enroll({});
  serve_until_registered();
  reporter_.enter({.term = 1, .attempt = 1}, true);
  try {
    while (!reporter_.recorded(3)) std::this_thread::sleep_for(milliseconds(5));
    ADD_FAILURE() << "nothing was recorded";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kPeerLost);
  }
}

TEST_F(ReporterTest, WhatIsNotOnRecordIsSentAgainByWhoeverLeads) {
  reporter_.enroll({});
  serve_until_registered();
  reporter_.enter({.term = 1, .attempt = 1}, false);
  for (int step = 1; step <= 3; ++step) reporter_.report(step, cluster::StepReport{.step = step});
  reporter_.report(3, cluster::EvalReport{.step = 3, .loss = 0.0, .accuracy = {}});
  send(cluster::Recorded{.step = 1});
  serve_until([this] { return heard<cluster::Heartbeat>().size() >= 4; });
  EXPECT_TRUE(heard<cluster::StepReport>().empty()) << "another one leads";
  reporter_.enter({.term = 1, .attempt = 2}, true);
  serve_until([this] { return heard<cluster::EvalReport>().size() >= 2; });  // at once, and when that had no effect
  std::vector<std::int64_t> steps;
  for (const auto& report : heard<cluster::StepReport>()) steps.push_back(report.step);
  EXPECT_EQ(std::vector(steps.begin(), steps.begin() + 2), (std::vector<std::int64_t>{2, 3}));
  send(cluster::Recorded{.step = 3, .final = true});
  wait_for_end();
  EXPECT_EQ(reporter_.ending(), Reporter::End::kComplete);
}

TEST_F(ReporterTest, ASchedulerThatWasStartedAnewIsFound) {
  cluster::Register registration;
  registration.rank = 5;
  reporter_.enroll(registration);
  serve_until_registered();
  reporter_.enter({.term = 1, .attempt = 1}, true);
  const cluster::Credentials credentials = hub_->credentials();
  hub_.reset();
  applied_ = 7;
  std::this_thread::sleep_for(milliseconds(300));
  worker_.reset();
  hub_.emplace(credentials.address, credentials.token, Uuid::random());
  serve_until_registered();
  EXPECT_EQ(registrations_.back().rank, 5);
  EXPECT_EQ(registrations_.back().standing.applied, 7);
  send(cluster::Seal{}, {.term = 2, .attempt = 1});
  while (seals_ == 0) std::this_thread::sleep_for(milliseconds(5));
  EXPECT_EQ(reporter_.ending(), std::nullopt);
}

// The scheduler to which it was said may have died with it.
TEST_F(ReporterTest, LostPeersAreSaidAgainUntilALaterRoundIsAnswered) {
  reporter_.enroll({});
  serve_until_registered();
  const Uuid peer = Uuid::random();
  reporter_.lose_peers({.term = 1, .attempt = 3}, {.peers = {peer}});
  serve_until([this] { return heard<cluster::PeersLost>().size() >= 3; });
  EXPECT_EQ(heard<cluster::PeersLost>().back().peers, std::vector<Uuid>{peer});
  sealed_term_ = 2;
  std::this_thread::sleep_for(milliseconds(200));  // what was on its way
  while (hub_->receive(milliseconds(20))) {
  }
  heard_.clear();
  serve_until([this] { return heard<cluster::Heartbeat>().size() >= 4; });
  EXPECT_TRUE(heard<cluster::PeersLost>().empty());
}

TEST_F(ReporterTest, ASchedulerOfALowerTermIsNotObeyed) {
  reporter_.enroll({});
  serve_until_registered();
  sealed_term_ = 2;
  const Ballot lower{.term = 1, .attempt = 9}, higher{.term = 2, .attempt = 0};
  send(cluster::Exclude{.worker = {}, .rank = 0, .pid = 1, .reason = "it hangs"}, lower);
  send(cluster::Stop{.exit_code = 1, .reason = "over"}, lower);
  send(cluster::Recorded{.step = 9, .final = true}, lower);
  send(cluster::FinishStep{.reason = "stopped by SIGTERM"}, lower);
  send(cluster::Seal{}, higher);
  serve_until([this] { return seals_ == 1; });
  EXPECT_EQ(reporter_.ending(), std::nullopt);
  EXPECT_FALSE(reporter_.finishes_step());
  send(cluster::Stop{.exit_code = 1, .reason = "over"}, higher);
  wait_for_end();
  EXPECT_EQ(reporter_.ending(), Reporter::End::kStopped);
}

TEST_F(ReporterTest, ASchedulerThatDoesNotComeBackIsLost) {
  reporter_.enroll({});
  serve_until_registered();
  reporter_.enter({.term = 1, .attempt = 1}, true);
  hub_.reset();
  wait_for_end();
  EXPECT_EQ(failure().code(), ErrorCode::kPeerLost);
}

TEST_F(ReporterTest, WhoWritesTheLastCheckpointReportsWhatIsNotOnRecord) {
  reporter_.enroll({});
  serve_until_registered();
  reporter_.report(7, cluster::StepReport{.step = 7});
  reporter_.report(8, cluster::StepReport{.step = 8});
  send(cluster::Recorded{.step = 7});
  send(cluster::Stop{.exit_code = 75, .save = true, .reason = "too few workers are left"});
  serve_until([this] { return !heard<cluster::StepReport>().empty(); });
  EXPECT_EQ(heard<cluster::StepReport>().front().step, 8);
}

// The training thread says so, the reporter's takes the signal.
TEST_F(ReporterTest, ASignalMayComeWhileAnEpochIsEntered) {
  for (int i = 0; i < 20; ++i) {
    Reporter another({.scheduler = hub_->credentials(),
                      .self = Uuid::random(),
                      .activity = [] { return std::uint64_t{0}; },
                      .standing = [] { return cluster::Standing{}; },
                      .on_seal = [](const Ballot&, const cluster::Seal&) {},
                      .on_epoch = [](const Ballot&, const cluster::Epoch&) {},
                      .on_end = [] {},
                      .on_second_signal = {}},
                     signals_, logger_);
    kill(getpid(), SIGUSR1);
    for (const auto until = Clock::now() + milliseconds(20); Clock::now() < until;)
      another.enter({.term = 1, .attempt = 1}, false);
  }
  serve_until([this] { return !heard<cluster::StopRequest>().empty(); });
}

TEST_F(ReporterTest, WhoIsAskedToStopBeforeItHasEnrolledDoesNotEnroll) {
  kill(getpid(), SIGUSR1);
  serve_until([&] { return !heard<cluster::StopRequest>().empty(); });
  worker_ = heard_.back().sender;
  send(cluster::FinishStep{.reason = "stopped by SIGUSR1"});
  wait_for_end();
  EXPECT_EQ(reporter_.ending(), Reporter::End::kStopped);
  EXPECT_EQ(reporter_.stop()->exit_code, kExitStopped);
  reporter_.enroll({});
  const auto late = Clock::now() + milliseconds(300);
  serve_until([&] { return Clock::now() > late; });
  EXPECT_TRUE(registrations_.empty());
}

// That it has stopped is told to those who took part.
TEST_F(ReporterTest, WhoIsTooLateForARunThatStopsLeavesAsIfItHadTakenPart) {
  reporter_.enroll({});
  serve_until_registered();
  send(cluster::FinishStep{.reason = "stopped by SIGTERM"});
  serve_until([&] { return reporter_.finishes_step(); });
  hub_.reset();
  wait_for_end();
  EXPECT_EQ(reporter_.ending(), Reporter::End::kStopped);
  EXPECT_EQ(reporter_.stop()->exit_code, kExitStopped);
}

TEST_F(ReporterTest, WhoTakesPartInARunThatStopsAwaitsItsScheduler) {
  reporter_.enroll({});
  serve_until_registered();
  reporter_.enter({.term = 1, .attempt = 1}, /*leads=*/false);
  send(cluster::FinishStep{.reason = "stopped by SIGTERM"});
  serve_until([&] { return reporter_.finishes_step(); });
  hub_.reset();
  wait_for_end();
  EXPECT_EQ(reporter_.ending(), Reporter::End::kLost);
}

TEST_F(ReporterTest, ASchedulerIsFoundOnceThereAreDescriptorsAgain) {
  reporter_.enroll({});
  serve_until_registered();
  reporter_.enter({.term = 1, .attempt = 1}, true);
  const cluster::Credentials credentials = hub_->credentials();
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  const rlimit none{.rlim_cur = 3, .rlim_max = before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &none);
  hub_.reset();
  std::this_thread::sleep_for(milliseconds(300));
  setrlimit(RLIMIT_NOFILE, &before);
  worker_.reset();
  hub_.emplace(credentials.address, credentials.token, Uuid::random());
  serve_until_registered();
  EXPECT_EQ(reporter_.ending(), std::nullopt);
}

}  // namespace
}  // namespace convoy::worker
