// A worker's line to a scheduler that this test plays.
#include "worker/reporter.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "cluster/link.h"
#include "core/base/error.h"

namespace convoy::worker {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

class ReporterTest : public testing::Test {
 protected:
  ReporterTest() { logger_.mute_terminal(); }

  // Serves until the worker has registered, and then until `done`.
  template <typename Done>
  void serve_until(Done done) {
    while (!done()) {
      const auto message = hub_.receive(milliseconds(20));
      if (message && std::holds_alternative<cluster::Register>(message->body)) worker_ = message->sender;
    }
  }
  void serve_until_registered() {
    serve_until([this] { return worker_.has_value(); });
  }
  void send(cluster::Body body) { hub_.send(*worker_, {.term = 1, .attempt = 1}, std::move(body)); }
  // What the worker's thread ran into, "" when nothing.
  template <typename Work>
  std::string failure_of(Work work) {
    try {
      work();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kPeerLost);
      return error.what();
    }
    return "";
  }
  std::string silence(const std::string& time) const {
    return "the scheduler at " + hub_.credentials().address + " has been silent for " + time;
  }

  cluster::Hub hub_{"tcp://127.0.0.1:0", cluster::make_token(), Uuid::random()};
  SignalReceiver signals_{SIGUSR1};
  Logger logger_;
  std::optional<Uuid> worker_;
  Reporter reporter_{{.scheduler = hub_.credentials(),
                      .self = Uuid::random(),
                      .heartbeat = milliseconds(100),
                      .scheduler_silence = milliseconds(1000),
                      .activity = [] { return std::uint64_t{0}; },
                      .on_stop = [] {},
                      .on_second_signal = {}},
                     signals_,
                     logger_};
};

TEST_F(ReporterTest, ASilentSchedulerIsNotJoinedForEver) {
  std::string failure;
  std::thread worker([&] { failure = failure_of([&] { reporter_.join({}); }); });
  serve_until_registered();
  worker.join();
  EXPECT_EQ(failure, silence("1 s"));
  const auto before = Clock::now();
  EXPECT_FALSE(reporter_.wait_for_stop(seconds(10)).has_value());
  EXPECT_LT(Clock::now() - before, seconds(2)) << "nothing is to be expected of it";
}

TEST_F(ReporterTest, ASchedulerThatWaitsForOthersIsWaitedFor) {
  std::string failure = "none";
  std::thread worker([&] { failure = failure_of([&] { reporter_.join({}); }); });
  serve_until_registered();
  const auto late = Clock::now() + milliseconds(2500);
  auto next = Clock::now();
  serve_until([&] {
    if (Clock::now() >= next) send(cluster::Recorded{});
    if (Clock::now() >= next) next += milliseconds(250);
    return Clock::now() > late;
  });
  send(cluster::Epoch{});
  worker.join();
  EXPECT_EQ(failure, "");
}

TEST_F(ReporterTest, ARefusalIsNoWrongUsage) {
  std::optional<ErrorCode> code;
  std::thread worker([&] {
    try {
      reporter_.join({});
    } catch (const Error& error) {
      code = error.code();
    }
  });
  serve_until_registered();
  send(cluster::Refuse{.reason = "worker 1 differs from worker 0"});
  worker.join();
  EXPECT_EQ(code, ErrorCode::kInvalidArgument);
}

TEST_F(ReporterTest, ASilentSchedulerIsNotWaitedForToRecord) {
  std::string failure;
  std::thread worker([&] {
    reporter_.join({});
    failure = failure_of([&] { reporter_.wait_until_final_recorded(); });
  });
  serve_until_registered();
  send(cluster::Epoch{});
  worker.join();
  EXPECT_EQ(failure, silence("1 s"));
}

}  // namespace
}  // namespace convoy::worker
