#include "worker/state_parts.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <string>

#include "cluster/link.h"
#include "core/base/hash.h"
#include "tests/worker/serving.h"
#include "tests/worker/small_run.h"
#include "worker/transfer.h"

namespace convoy::worker {
namespace {

// A replica with other parameters than one that begins, and with moments.
std::unique_ptr<Replica> trained(SmallRun& run) {
  const std::uint64_t seed = std::exchange(run.recipe.train.seed, run.recipe.train.seed + 1);
  auto replica = run.replica();
  run.recipe.train.seed = seed;
  float value = 0.0F;
  for (const StateTensor& part : replica->state()) {
    if (part.file != kOptimizerFile) continue;
    float* const moments = part.tensor.data<float>();
    std::iota(moments, moments + part.tensor.elements(), value += 0.5F);
  }
  state_was_written(*replica);
  return replica;
}

// Of a shard's loss and gradients.
std::uint64_t gradient_hash(const SmallRun& run, Replica& replica) {
  Xxh3Hasher64 hasher;
  const distributed::LossSums sums =
      replica.gradient({.seed = 5, .step = 3, .shard = 1}, run.batches().training(3, 1),
                       [&](std::size_t, std::span<const float> gradient) { hasher.update(std::as_bytes(gradient)); });
  hasher.update(std::as_bytes(std::span(&sums.loss, 1)));
  return hasher.value();
}

TEST(StatePartsTest, AreAllOfTheState) {
  SmallRun run("text");
  const auto replica = run.replica();
  std::int64_t bytes = 0;
  for (const StateTensor& part : replica->state()) bytes += part.tensor.elements() * 4;
  EXPECT_EQ(total_bytes(parts_of(*replica)), bytes);
  EXPECT_EQ(total_bytes(destinations_of(*replica)), bytes);
}

TEST(StatePartsTest, ATransferredStateIsTheSame) {
  for (const char* graph : {"dynamic", "static"}) {
    SmallRun run("text");
    run.recipe.train.precision = "bf16";  // whose weights have packed forms
    run.recipe.train.graph = graph;
    const auto donor_replica = trained(run);
    const auto replica = run.replica();
    gradient_hash(run, *replica);  // now it has such forms, of what it began with
    ASSERT_NE(replica->state_hash(17), donor_replica->state_hash(17));

    const Uuid uuid = Uuid::random();
    const std::string token = cluster::make_token();
    const Parts parts = parts_of(*donor_replica);
    const auto donor = make_donor(uuid, token, [&parts](const Ballot&, const Pull&) {
      return Offer{.kind = Offer::Kind::kHere, .parts = parts};
    });
    const TransferOptions options{.donors = {{.uuid = uuid, .service = donor->service()}},
                                  .asker = {.self = Uuid::random(), .token = token, .ballot = kServedBallot},
                                  .step = 17};
    ASSERT_TRUE(fetch(options, destinations_of(*replica), {}).done);
    state_was_written(*replica);
    EXPECT_EQ(replica->state_hash(17), donor_replica->state_hash(17));
    EXPECT_EQ(gradient_hash(run, *replica), gradient_hash(run, *donor_replica)) << graph;
  }
}

}  // namespace
}  // namespace convoy::worker
