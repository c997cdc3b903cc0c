#include "scheduler/shard_audit.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "scheduler/journal.h"
#include "scheduler/records.h"
#include "tests/scheduler/scratch.h"

namespace convoy::scheduler {
namespace {

constexpr StepShape kShape{.shards = 4, .samples = 8};

class ShardAuditTest : public testing::Test {
 protected:
  // An epoch of so many workers, in the journal.
  void enter(Ballot ballot, std::initializer_list<std::size_t> workers) {
    EpochRecord record{.ballot = ballot, .epoch = {.members = {}}};
    for (const std::size_t worker : workers)
      record.epoch.members.push_back({.uuid = workers_.at(worker),
                                      .rank = static_cast<std::int32_t>(record.epoch.members.size()),
                                      .host = "a",
                                      .pid = 1,
                                      .meeting_place = ""});
    journal_.append(record);
    ballot_ = ballot;
  }
  void commit(std::vector<std::int32_t> shard_ranks, std::int32_t world) {
    records_.step(
        {.step = ++step_, .samples = 8, .world = world, .ballot = ballot_, .shard_ranks = std::move(shard_ranks)},
        ballot_);
  }
  // A line as no run would write it.
  void write(const std::string& line) { std::ofstream(scratch_.file("metrics.jsonl"), std::ios::app) << line << '\n'; }

  ShardAudit audit() {
    used_.clear();
    return audit_shards(scratch_.path(), kShape,
                        [this](std::int64_t step, std::int32_t shard) { used_.emplace_back(step, shard); });
  }

  const Scratch scratch_;
  const std::vector<Uuid> workers_{Uuid::random(), Uuid::random(), Uuid::random()};
  Records records_{scratch_.path(), 0};
  Journal journal_{scratch_.path() + "/journal", Uuid::random()};
  Ballot ballot_;
  std::int64_t step_ = 0;
  std::vector<std::pair<std::int64_t, std::int32_t>> used_;
};

TEST_F(ShardAuditTest, CreditsTheWorkersOfEachEpoch) {
  enter({1, 1}, {0, 1});
  commit({0, 0, 1, 1}, 2);
  commit({0, 0, 1, 1}, 2);
  enter({1, 2}, {1, 2});
  commit({1, 0, 0, 0}, 2);
  const ShardAudit result = audit();
  EXPECT_EQ(result.steps, 3);
  EXPECT_EQ(result.wrong, std::vector<std::string>{});
  EXPECT_EQ(result.without_epoch, 0);
  ASSERT_EQ(result.workers.size(), 3U);
  EXPECT_EQ(result.workers[0].worker, workers_[0]);
  EXPECT_EQ(result.workers[0].shards, 4);
  EXPECT_EQ(result.workers[1].worker, workers_[1]);
  EXPECT_EQ(result.workers[1].shards, 7);
  EXPECT_EQ(result.workers[1].steps, 3);
  EXPECT_EQ(result.workers[2].shards, 1);
  EXPECT_EQ(used_.size(), 12U);
  EXPECT_EQ(used_.back(), std::pair(std::int64_t{3}, std::int32_t{0})) << "rank by rank";
}

TEST_F(ShardAuditTest, NamesTheStepAndTheShard) {
  enter({1, 1}, {0, 1});
  commit({0, 0, 1, 1}, 2);
  write(R"({"step": 2, "samples": 8, "world": 2, "ballot": "1.1", "shards": ["0-2", "2-3"]})");
  write(R"({"step": 3, "samples": 8, "world": 2, "ballot": "1.1", "shards": ["0", "3"]})");
  write(R"({"step": 5, "samples": 4, "world": 2, "ballot": "1.1", "shards": ["0-1", "2-3"]})");
  write(R"({"step": 5, "samples": 8, "world": 3, "ballot": "1.1", "shards": ["0-1", "2-3"]})");
  write(R"({"step": 6, "samples": 8, "world": 2, "ballot": "1.1"})");
  write(R"({"step": 7, "samples": 8, "world": 2, "ballot": "1.1", "shards": ["0-1,9", "2-3"]})");
  write(R"({"step": 8, "samples": 8, "world": 1, "ballot": "1.1", "shards": ["0-3"]})");
  const ShardAudit result = audit();
  EXPECT_EQ(result.wrong, (std::vector<std::string>{
                              "step 2: shard 2 counted 2 times (ranks 0, 1)",
                              "step 3: nobody summed shard 1",
                              "step 3: nobody summed shard 2",
                              "step 5 follows step 3 on record",
                              "step 5: 4 samples, expected 8",
                              "step 5 follows step 5 on record",
                              "step 5: shards of 2 ranks, expected 3",
                              "step 6: nothing on record of who summed its shards",
                              "step 7: rank 0: \"0-1,9\" is no list of shards like \"0-2,5\", of 4",
                              "step 7: nobody summed shard 0",
                              "step 7: nobody summed shard 1",
                              "step 8: shards of 1 ranks, but epoch 1.1 has 2 members",
                          }));
}

TEST_F(ShardAuditTest, KnowsNoWorkersWhereTheJournalHasNone) {
  enter({1, 1}, {0, 1});
  commit({0, 0, 1, 1}, 2);
  write(R"({"step": 2, "samples": 8, "world": 2, "ballot": "2.1", "shards": ["0-1", "2-3"]})");
  const ShardAudit result = audit();
  EXPECT_EQ(result.wrong, std::vector<std::string>{});
  EXPECT_EQ(result.without_epoch, 1);
  EXPECT_EQ(result.workers.size(), 2U);
}

TEST_F(ShardAuditTest, LooksAtWholeLinesOnly) {
  enter({1, 1}, {0});
  commit({0, 0, 0, 0}, 1);
  std::ofstream(scratch_.file("metrics.jsonl"), std::ios::app) << R"({"step": 2, "lo)";
  EXPECT_EQ(audit().steps, 1);
  write("");
  EXPECT_THROW(audit(), Error) << "that line is whole, and is none";
}

TEST(ShardAuditFileTest, NamesTheFileThatIsNotThere) {
  try {
    audit_shards("/nowhere", kShape, [](std::int64_t, std::int32_t) {});
    ADD_FAILURE() << "audited";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "/nowhere/metrics.jsonl: no such file: expected the records of a run");
  }
}

}  // namespace
}  // namespace convoy::scheduler
