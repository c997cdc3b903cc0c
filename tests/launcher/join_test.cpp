#include "launcher/join.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "cluster/address.h"
#include "cluster/curve.h"
#include "core/base/error.h"
#include "launcher/scheduler_file.h"

namespace convoy::launcher {
namespace {

namespace fs = std::filesystem;

// A scheduler's end of its links, which lets in who knows the token.
class Door {
 public:
  explicit Door(const std::string& token) : hub_("tcp://127.0.0.1:0", token, Uuid::random()) {
    thread_ = std::jthread([this](const std::stop_token& over) {
      while (!over.stop_requested()) (void)hub_.receive(std::chrono::milliseconds(20));
    });
  }
  const cluster::Credentials& credentials() const { return hub_.credentials(); }

 private:
  cluster::Hub hub_;
  std::jthread thread_;
};

class JoinTest : public testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder_); }
  void TearDown() override { fs::remove_all(folder_); }

  std::string refusal(const std::string& address, const std::optional<std::string>& run, ErrorCode code,
                      const std::optional<std::string>& token = std::nullopt) {
    try {
      find(address, run, token);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      return error.what();
    }
    return "found";
  }
  RunUnderWay find(const std::string& address, const std::optional<std::string>& run,
                   const std::optional<std::string>& token = std::nullopt) {
    return find_run(address, run, [&](const std::string& name) -> std::optional<std::string> {
      return name == cluster::kTokenVariable ? token : std::nullopt;
    });
  }
  static Whereabouts whereabouts(const cluster::Credentials& hub) {
    return {.addresses = {"tcp://127.0.0.1:1", hub.address},
            .public_key = hub.public_key,
            .token = hub.token,
            .incarnation = ""};
  }

  const std::string folder_ = testing::TempDir() + "join-" + std::to_string(getpid());
  const std::string token_ = cluster::make_token();
};

TEST_F(JoinTest, ARunDirectorySaysWhereItsSchedulerIs) {
  const Door hub(token_);
  const SchedulerFile file(folder_, whereabouts(hub.credentials()));
  const RunUnderWay found = find(folder_, std::nullopt);
  EXPECT_EQ(found.run_directory, folder_);
  EXPECT_EQ(found.scheduler.address, hub.credentials().address) << "the one that answers";
  EXPECT_EQ(found.scheduler.public_key, hub.credentials().public_key);
  EXPECT_EQ(found.scheduler.token, token_);
  EXPECT_EQ(find(folder_ + "/", folder_).scheduler.token, token_) << "the same directory";
}

TEST_F(JoinTest, AnAddressNeedsTheTokenFromSomewhere) {
  const Door hub(token_);
  const std::string address = hub.credentials().address.substr(6);
  EXPECT_NE(refusal(address, std::nullopt, ErrorCode::kUsage).find("with --run DIR"), std::string::npos);
  EXPECT_NE(refusal(address, folder_, ErrorCode::kUsage).find("no run is under way there"), std::string::npos);
  EXPECT_EQ(find(address, folder_, token_).scheduler.public_key, hub.credentials().public_key);
  const std::string what = refusal(address, folder_, ErrorCode::kUsage, "secret");
  EXPECT_NE(what.find("CONVOY_TOKEN: "), std::string::npos) << what;
  EXPECT_EQ(what.find("secret"), std::string::npos) << what;
  const SchedulerFile file(folder_, whereabouts(hub.credentials()));
  EXPECT_EQ(find(address, folder_).scheduler.token, token_);
}

TEST_F(JoinTest, AWrongTokenIsNamedBeforeAnybodyIsStarted) {
  const Door hub(token_);
  const std::string address = hub.credentials().address.substr(6);
  const std::string other = cluster::make_token();
  const std::string wrong = "--join " + address + ": the scheduler there does not know the token in ";
  EXPECT_EQ(refusal(address, folder_, ErrorCode::kUsage, other), wrong + "CONVOY_TOKEN: expected that of its run");
  Whereabouts stale = whereabouts(hub.credentials());
  stale.token = other;
  stale.public_key = cluster::hub_key_pair_of_token(other).public_key;
  const SchedulerFile file(folder_, stale);
  EXPECT_EQ(refusal(address, folder_, ErrorCode::kUsage),
            wrong + folder_ + "/scheduler.json: expected that of its run");
  const std::string what = refusal(folder_, std::nullopt, ErrorCode::kPeerLost);
  EXPECT_NE(what.find("whoever listens there does not know the run's token"), std::string::npos) << what;
}

TEST_F(JoinTest, ASchedulerThatIsBusyIsNotAWrongToken) {
  const cluster::Hub hub("tcp://127.0.0.1:0", token_, Uuid::random());
  EXPECT_EQ(find(hub.credentials().address, folder_, token_).scheduler.token, token_);
}

TEST_F(JoinTest, WhatIsNoRunUnderWayIsRefused) {
  EXPECT_EQ(refusal(folder_, std::nullopt, ErrorCode::kUsage),
            "--join " + folder_ + ": no run is under way there (there is no " + folder_ + "/scheduler.json)");
  EXPECT_NE(refusal("nowhere", folder_, ErrorCode::kUsage).find("expected a run's directory, or HOST:PORT"),
            std::string::npos);
  EXPECT_NE(refusal(folder_, "elsewhere", ErrorCode::kUsage).find("expected the same directory"), std::string::npos);
  {
    const SchedulerFile file(folder_, {.addresses = {"tcp://127.0.0.1:1"},
                                       .public_key = cluster::hub_key_pair_of_token(token_).public_key,
                                       .token = token_,
                                       .incarnation = ""});
    const std::string what = refusal(folder_, std::nullopt, ErrorCode::kPeerLost);
    EXPECT_NE(what.find("this host, " + cluster::host_name()), std::string::npos) << what;
    EXPECT_NE(what.find("cannot reach the run's scheduler at 127.0.0.1 port 1: Connection refused (errno 111)"),
              std::string::npos)
        << what;
  }
}

TEST_F(JoinTest, ARunIsOpenToOtherHostsWhereItSaysAnAddressThatTheyReach) {
  const Door hub(token_);
  {
    const SchedulerFile file(folder_, whereabouts(hub.credentials()));
    EXPECT_FALSE(find(folder_, std::nullopt).open);
  }
  Whereabouts everywhere = whereabouts(hub.credentials());
  everywhere.addresses.front() = "tcp://10.255.255.1:1";
  std::ranges::reverse(everywhere.addresses);  // nobody waits for the one that does not answer
  const SchedulerFile file(folder_, everywhere);
  EXPECT_TRUE(find(folder_, std::nullopt).open);
  EXPECT_TRUE(find(hub.credentials().address, folder_).open) << "whichever is used";
}

}  // namespace
}  // namespace convoy::launcher
