// Under mpirun only. An MPI session does not survive a failure, so each of these wants processes of its own.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "core/base/error.h"
#include "distributed/mpi/mpi_communicator.h"
#include "distributed/mpi/session.h"
#include "tests/distributed/engine_ranks.h"

namespace convoy::distributed {
namespace {

using testing::mpi_session;

std::string error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kPeerLost) << error.what();
    return error.what();
  }
  return "no error";
}

TEST(MpiModuleTest, WhereThereIsNoneTheLineSaysWhatToInstall) {
  try {
    const MpiSession session({.modules = {"/none/libconvoy_mpi.so"}, .environment = {}});
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    for (const char* part : {"sync.engine = \"mpi\"", "libopenmpi-dev", "/none/libconvoy_mpi.so"})
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

class MpiFaultTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (std::getenv("OMPI_COMM_WORLD_SIZE") == nullptr) GTEST_SKIP() << "not started by mpirun";
  }
};

// Rank 0 never joins in, the last rank gives up from another thread: nobody waits any longer, its peers know who it
// was.
TEST_F(MpiFaultTest, AbortEndsWaitsOnEveryRank) {
  MpiCommunicator communicator(mpi_session(), {1, 1});
  double value = 1.0;
  const auto sum = [&] { communicator.all_reduce(ReduceType::kF64, &value, 1); };
  const std::int32_t last = communicator.size() - 1;
  const auto begin = std::chrono::steady_clock::now();
  if (communicator.rank() == 0) {
    std::this_thread::sleep_for(std::chrono::seconds(2));  // long after the abort, also on a busy machine
    EXPECT_EQ(error_of(sum), "all_reduce in epoch 1.1: rank " + std::to_string(last) + " aborted");
  } else if (communicator.rank() == last) {
    std::thread aborter([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      communicator.abort();
    });
    EXPECT_EQ(error_of(sum), "all_reduce in epoch 1.1: this worker aborted");
    aborter.join();
  } else {
    EXPECT_EQ(error_of(sum), "all_reduce in epoch 1.1: rank " + std::to_string(last) + " aborted");
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
  EXPECT_NE(error_of(sum), "no error") << "broken for good";
}

TEST_F(MpiFaultTest, ABlockOfAnotherSizeIsNamed) {
  MpiCommunicator communicator(mpi_session(), {1, 1});
  std::vector<std::byte> block(64);
  if (communicator.rank() == 1) communicator.send(block.data(), 32, 0);
  if (communicator.rank() == 0) {
    EXPECT_EQ(error_of([&] { communicator.receive(block.data(), 64, 1); }),
              "receive in epoch 1.1: rank 1 sent 32 bytes where 64 were expected");
  }
}

TEST_F(MpiFaultTest, RanksOfDifferentEpochsDoNotMeet) {
  const std::int32_t rank = mpi_session().rank();
  EXPECT_NE(error_of([&] { MpiCommunicator(mpi_session(), {1, static_cast<std::uint32_t>(1 + rank)}); }), "no error");
}

// Takes 6 GiB of memory with two ranks: by hand, with --gtest_also_run_disabled_tests.
TEST_F(MpiFaultTest, DISABLED_MessagesBeyondTwoGiB) {
  MpiCommunicator communicator(mpi_session(), {1, 1});
  const std::size_t bytes = (std::size_t{5} << 29) + 3;
  std::vector<std::byte> data(bytes, communicator.rank() == 0 ? std::byte{7} : std::byte{0});
  if (communicator.rank() == 0) data[bytes - 1] = std::byte{9};
  communicator.broadcast(data.data(), bytes, 0);
  EXPECT_EQ(data[bytes - 1], std::byte{9});
  EXPECT_EQ(data[std::size_t{1} << 30], std::byte{7});
  EXPECT_EQ(data[bytes - 2], std::byte{7});
}

}  // namespace
}  // namespace convoy::distributed
