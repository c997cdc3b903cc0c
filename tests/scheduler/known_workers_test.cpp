#include "scheduler/known_workers.h"

#include <gtest/gtest.h>

#include "scheduler/records.h"
#include "tests/scheduler/scratch.h"

namespace convoy::scheduler {
namespace {

class KnownWorkersTest : public testing::Test {
 protected:
  void add(const std::string& kind, std::optional<Uuid> worker, std::int32_t rank, const std::string& detail,
           std::uint64_t term = 1) {
    Records(scratch_.path(), 0, true)
        .event({.kind = kind, .worker = worker, .rank = rank, .ballot = {.term = term}, .detail = detail}, 1.0);
  }
  KnownWorkers read(std::uint64_t term, std::optional<std::uint64_t> first = std::nullopt) const {
    return read_known_workers(scratch_.path(), term, first);
  }

  const Scratch scratch_;
  const Uuid one_ = Uuid::random();
  const Uuid two_ = Uuid::random();
};

TEST_F(KnownWorkersTest, WhereThereAreNoRecordsNobodyIsKnown) {
  EXPECT_TRUE(read(2).workers.empty());
  EXPECT_FALSE(read(2).begun);
}

TEST_F(KnownWorkersTest, WhoCameAndWhatBecameOfThem) {
  add("worker_joined", one_, 0, joined_detail(4240, "node on hill"));
  add("worker_joined", two_, 3, joined_detail(4241, "other"));
  add("epoch", std::nullopt, -1, "2 workers");
  add("worker_excluded", two_, 3, "it hangs");
  add("worker_lost", two_, 3, "worker 3 (pid 4241) was killed");
  const std::string how = unregistered_detail(77, "was killed by signal 9 (SIGKILL)");
  add("worker_lost", std::nullopt, 4, "worker 4 " + how);
  const KnownWorkers known = read(2);
  EXPECT_TRUE(known.begun);
  ASSERT_EQ(known.workers.size(), 2U);
  EXPECT_EQ(known.workers[0].uuid, one_);
  EXPECT_EQ(known.workers[0].host, "node on hill");
  EXPECT_EQ(known.workers[0].pid, 4240);
  EXPECT_FALSE(known.workers[0].told_lost);
  EXPECT_EQ(known.workers[1].number, 3);
  EXPECT_TRUE(known.workers[1].told_lost);
  EXPECT_TRUE(known.workers[1].told_excluded);
  EXPECT_EQ(known.unregistered, (std::map<std::string, std::int32_t>{{how, 4}}));
}

TEST_F(KnownWorkersTest, WhatWasBeforeTheRunWasResumedDoesNotCount) {
  add("worker_joined", one_, 0, joined_detail(1, "node"), 1);
  add("epoch", std::nullopt, -1, "1 worker", 1);
  add("worker_joined", two_, 0, joined_detail(2, "node"), 2);
  add("scheduler_restarted", std::nullopt, -1, restarted_detail(3, " goes on with epoch 2.1 of 1 worker"), 2);
  EXPECT_EQ(read(4).first_term, 2U) << "term 3 was a restart";
  ASSERT_EQ(read(4).workers.size(), 1U);
  EXPECT_EQ(read(4).workers[0].uuid, two_);
  EXPECT_FALSE(read(4).begun);
  EXPECT_EQ(read(4, 1).workers.size(), 2U) << "as the journal says";
}

}  // namespace
}  // namespace convoy::scheduler
