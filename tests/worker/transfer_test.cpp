#include "worker/transfer.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <future>
#include <numeric>
#include <random>
#include <thread>

#include "cluster/curve.h"
#include "core/base/error.h"
#include "core/base/hash.h"
#include "worker/donor.h"

namespace convoy::worker {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr Ballot kBallot{.term = 1, .attempt = 3};
constexpr std::int64_t kStep = 17;

// Memory in several places, of awkward sizes.
struct Memory {
  explicit Memory(std::vector<std::size_t> sizes) {
    for (const std::size_t size : sizes) blocks.emplace_back(size);
  }
  static Memory filled(std::vector<std::size_t> sizes, unsigned seed = 1) {
    Memory memory(std::move(sizes));
    std::mt19937_64 random(seed);
    for (auto& block : memory.blocks)
      for (auto& byte : block) byte = static_cast<std::byte>(random());
    return memory;
  }
  Parts parts() const { return {blocks.begin(), blocks.end()}; }
  Destination destination() { return {blocks.begin(), blocks.end()}; }
  std::vector<std::byte> joined() const {
    std::vector<std::byte> all;
    for (const auto& block : blocks) all.insert(all.end(), block.begin(), block.end());
    return all;
  }

  std::vector<std::vector<std::byte>> blocks;
};

const std::vector<std::size_t> kSizes{0, 1, 3, 9 << 20, 64, 5'000'001, 7, 20 << 20};

Find always(const Memory& memory) {
  return [&memory](const Ballot& ballot, const cluster::Pull& pull) {
    if (ballot != kBallot || pull.step != kStep) return Offer{};
    return Offer{.kind = Offer::Kind::kHere, .parts = memory.parts()};
  };
}

// Whether by the way for peers of one host.
class TransferTest : public testing::TestWithParam<bool> {
 protected:
  Source serve(Find find) {
    const Uuid uuid = Uuid::random();
    donors_.push_back(std::make_unique<Donor>(DonorOptions{.token = token_, .self = uuid, .find = std::move(find)}));
    return {.uuid = uuid, .service = donors_.back()->service()};
  }
  TransferOptions options(std::vector<Source> donors) const {
    return {.donors = std::move(donors),
            .asker = {.self = Uuid::random(), .token = token_, .ballot = kBallot},
            .what = cluster::Pull::What::kState,
            .step = kStep,
            .locally = GetParam()};
  }

  const std::string token_ = cluster::make_token();
  std::vector<std::unique_ptr<Donor>> donors_;
};

TEST_P(TransferTest, BringsEverything) {
  const Memory state = Memory::filled(kSizes);
  const auto total = static_cast<std::size_t>(total_bytes(state.parts()));
  Memory copy({30 << 20, 1, total - (30 << 20) - 1, 0});  // cut in other places
  const Transferred result = fetch(options({serve(always(state))}), copy.destination(), {});
  EXPECT_TRUE(result.done);
  EXPECT_TRUE(result.lost.empty());
  EXPECT_EQ(copy.joined(), state.joined());
}

INSTANTIATE_TEST_SUITE_P(Ways, TransferTest, testing::Bool(),
                         [](const auto& way) { return way.param ? "Locally" : "ByLink"; });

}  // namespace
}  // namespace convoy::worker
