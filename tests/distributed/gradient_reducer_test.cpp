#include "distributed/gradient_reducer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "distributed/solo.h"
#include "tests/distributed/shard_gradients.h"
#include "tests/distributed/thread_ranks.h"

namespace convoy::distributed {
namespace {

using testing::kParameters;
using testing::shard_gradient;
using testing::tree_reference;

// The memory of a reducer, and which parts of it were asked for.
struct Arena {
  explicit Arena(GradientReducer& reducer) : memory(reducer.arena_bytes() / sizeof(float)) {
    reducer.use_arena(std::as_writable_bytes(std::span(memory)),
                      [this](std::size_t offset, std::size_t bytes) { commits.emplace_back(offset, bytes); });
  }
  std::vector<float> memory;
  std::vector<std::pair<std::size_t, std::size_t>> commits;
};

void add_leaf(GradientReducer& reducer, std::int32_t leaf) {
  reducer.begin_leaf(leaf);
  for (std::size_t p = 0; p < kParameters.size(); ++p) reducer.add(p, shard_gradient(leaf, p));
  reducer.end_leaf({.loss = 0.1 * leaf, .count = 2.0});
}

TEST(GradientReducerTest, SumsShardsAlongTheTreeInAnyOrder) {
  for (const std::int32_t shards : {1, 2, 3, 5, 8, 13}) {
    for (const bool backwards : {false, true}) {
      const BucketLayout layout(kParameters, 16 << 10);
      GradientReducer reducer(layout, shards);
      const Arena arena(reducer);
      reducer.begin_step(1, regular_assignment(shards, 1), 0);
      EXPECT_EQ(reducer.missing().size(), static_cast<std::size_t>(shards));
      while (!reducer.missing().empty())
        add_leaf(reducer, backwards ? reducer.missing().back() : reducer.missing().front());
      SoloCommunicator communicator;
      const LossSums sums = reducer.reduce(communicator);
      EXPECT_EQ(reducer.reduced_step(), 1);
      EXPECT_EQ(sums.count, 2.0 * shards);
      EXPECT_NEAR(sums.loss, 0.05 * shards * (shards - 1), 1e-12);
      std::vector<std::vector<float>> first;
      for (std::int32_t shard = 0; shard < shards; ++shard) first.push_back(shard_gradient(shard, 0));
      for (std::size_t i = 0; i < first[0].size(); ++i) {
        const float expected =
            tree_reference([&](std::int32_t shard) { return first[static_cast<std::size_t>(shard)][i]; }, 0, shards);
        ASSERT_EQ(reducer.reduced_data()[static_cast<std::size_t>(layout.offset(0)) + i], expected)
            << shards << " shards, element " << i;
      }
    }
  }
}

// Peak memory: what blocks in order need, and no more; each slot is asked for once, however many steps there are.
TEST(GradientReducerTest, WhatIsMadeInALeafsMemoryNeedNotBeCopied) {
  const BucketLayout layout(kParameters, 16 << 10);
  for (const bool alone : {true, false}) {
    GradientReducer reducer(layout, 2);
    const Arena arena(reducer);
    reducer.begin_step(1, regular_assignment(2, alone ? 1 : 2), 0);
    EXPECT_EQ(reducer.leaf_memory(), nullptr);
    reducer.begin_leaf(0);
    float* const memory = reducer.leaf_memory();
    ASSERT_EQ(memory, reducer.memory_of_one(alone));
    for (std::size_t p = 0; p < kParameters.size(); ++p) {
      const std::vector<float> gradient = shard_gradient(0, p);
      const auto made = std::span(memory + layout.offset(p), gradient.size());
      std::ranges::copy(gradient, made.begin());
      reducer.add(p, made);
    }
    reducer.end_leaf({});
    if (!alone) continue;
    reducer.begin_leaf(1);
    EXPECT_EQ(reducer.leaf_memory(), nullptr) << "it is added to the other one";
    for (std::size_t p = 0; p < kParameters.size(); ++p) reducer.add(p, shard_gradient(1, p));
    reducer.end_leaf({});
    EXPECT_EQ(reducer.reduced_data()[layout.offset(1) + 3], shard_gradient(0, 1)[3] + shard_gradient(1, 1)[3]);
  }
}

TEST(GradientReducerTest, NeedsFewSlotsAndCommitsEachOnce) {
  const BucketLayout layout(kParameters, 1 << 30);
  const auto slot_bytes = static_cast<std::size_t>(layout.elements()) * sizeof(float);
  const auto slots = [&](std::int32_t shards, std::int32_t world) {
    GradientReducer reducer(layout, shards);
    const Arena arena(reducer);
    for (std::int64_t step = 1; step <= 3; ++step) {
      reducer.begin_step(step, regular_assignment(shards, world), 0);
      for (const std::int32_t leaf : reducer.missing()) add_leaf(reducer, leaf);
    }
    std::set<std::size_t> offsets;
    for (const auto& [offset, bytes] : arena.commits) {
      EXPECT_EQ(bytes, slot_bytes);
      EXPECT_LE(offset + bytes, reducer.arena_bytes());
      EXPECT_TRUE(offsets.insert(offset).second) << "committed twice";
    }
    return arena.commits.size();
  };
  EXPECT_EQ(slots(8, 8), 2U) << "its own gradient and the reduced one";
  EXPECT_EQ(slots(1, 1), 1U) << "its own gradient is the reduced one";
  EXPECT_EQ(slots(8, 1), 3U);
  EXPECT_EQ(slots(8, 4), 2U);
  EXPECT_LE(slots(64, 1), 6U);
  for (const std::int32_t shards : {5, 13}) {
    for (std::int32_t world = 2; world <= shards; ++world) {
      const BlockSchedule schedule = block_schedule(shards, block_of(shards, 0, world));
      EXPECT_EQ(slots(shards, world), static_cast<std::size_t>(schedule.slots) + 1);
    }
  }
}

// A redone step leaves a worker with more sums than it needs afterwards.
TEST(GradientReducerTest, GivesBackWhatOnlyARedoneStepNeeds) {
  const BucketLayout layout(kParameters, 1 << 30);
  const auto slot_bytes = static_cast<std::size_t>(layout.elements()) * sizeof(float);
  testing::run_threads(2, [&](Communicator& communicator) {
    GradientReducer reducer(layout, 8);
    const Arena arena(reducer);
    const auto train = [&](std::int64_t step, const Assignment& assignment) {
      const std::size_t before = arena.commits.size();
      reducer.begin_step(step, assignment, communicator.rank());
      for (const std::int32_t leaf : reducer.missing()) add_leaf(reducer, leaf);
      reducer.reduce(communicator);
      return arena.commits.size() - before;
    };
    const Assignment scattered{
        .layout = {.leaves = 8, .subtrees = {{{0, 1}, {2, 3}, {4, 5}, {6, 7}}, {{1, 2}, {3, 4}, {5, 6}, {7, 8}}}}};
    EXPECT_EQ(train(1, regular_assignment(8, 2)), 3U) << "the reduced gradient and two sums";
    EXPECT_EQ(train(2, scattered), 2U) << "and two more";
    EXPECT_EQ(train(3, regular_assignment(8, 2)), 0U) << "as many are there yet";
    const float sum = reducer.reduced_data()[3];
    EXPECT_EQ(train(4, scattered), 2U) << "they were given back";
    EXPECT_EQ(arena.commits.back().first, 4 * slot_bytes);
    EXPECT_EQ(reducer.reduced_data()[3], sum) << "the same shards, the same bits";
    EXPECT_EQ(train(5, scattered), 0U);
  });
}

TEST(GradientReducerTest, KeepsWhatItHoldsOfTheSameStepOnly) {
  const BucketLayout layout(kParameters, 1 << 30);
  GradientReducer reducer(layout, 8);
  const Arena arena(reducer);
  reducer.begin_step(4, regular_assignment(8, 2), 0);
  add_leaf(reducer, 0);
  add_leaf(reducer, 1);
  add_leaf(reducer, 3);
  EXPECT_EQ(reducer.held(4).members(), (std::vector<std::int32_t>{0, 1, 3}));
  EXPECT_TRUE(reducer.held(5).empty());

  // {0, 1} is one sum, of which the new assignment has a part only.
  const Assignment other{.layout = {.leaves = 8, .subtrees = {{{1, 2}, {2, 4}}, {{0, 1}, {4, 8}}}}};
  reducer.begin_step(4, other, 0);
  EXPECT_EQ(reducer.held(4).members(), std::vector<std::int32_t>{3});
  EXPECT_TRUE(std::ranges::equal(reducer.missing(), std::vector<std::int32_t>{1, 2}));
  reducer.begin_step(5, other, 0);
  EXPECT_TRUE(reducer.held(5).empty());
  EXPECT_TRUE(reducer.held(4).empty());
}

TEST(GradientReducerTest, ALeafThatIsNotEndedSpoilsWhatIsHeld) {
  const BucketLayout layout(kParameters, 1 << 30);
  GradientReducer reducer(layout, 4);
  const Arena arena(reducer);
  const Assignment assignment = regular_assignment(4, 1);
  reducer.begin_step(1, assignment, 0);
  add_leaf(reducer, 0);
  reducer.begin_leaf(1);
  EXPECT_TRUE(reducer.held(1).empty());
  EXPECT_THROW(reducer.begin_leaf(2), Error);
  reducer.begin_step(1, assignment, 0);
  EXPECT_EQ(reducer.missing().size(), 4U);
  add_leaf(reducer, 0);
  reducer.begin_leaf(1);
  reducer.drop();
  EXPECT_EQ(reducer.missing().size(), 4U);
  SoloCommunicator communicator;
  EXPECT_THROW(reducer.reduce(communicator), Error) << "leaves are missing";
  EXPECT_THROW(reducer.end_leaf({}), Error);
}

TEST(GradientReducerTest, MemoryThatIsNotThereLeavesWhatIsHeld) {
  const BucketLayout layout(kParameters, 1 << 30);
  GradientReducer reducer(layout, 4);
  std::vector<float> memory(reducer.arena_bytes() / sizeof(float));
  int commits = 0;
  reducer.use_arena(std::as_writable_bytes(std::span(memory)), [&](std::size_t, std::size_t) {
    if (++commits > 1) fail(ErrorCode::kUnavailable, "no memory");
  });
  reducer.begin_step(1, regular_assignment(4, 1), 0);
  add_leaf(reducer, 0);
  EXPECT_THROW(reducer.begin_leaf(2), Error);
  EXPECT_EQ(reducer.held(1).members(), std::vector<std::int32_t>{0});
  add_leaf(reducer, 1);
}

TEST(GradientReducerTest, AReducedGradientFromElsewhereHasAPlace) {
  const BucketLayout layout(kParameters, 1 << 30);
  GradientReducer reducer(layout, 4);
  const Arena arena(reducer);
  EXPECT_EQ(reducer.reduced_step(), -1);
  const GradientReducer::Place place = reducer.place_to_take_over();
  EXPECT_EQ(place.gradient.data(), reducer.reduced_data());
  EXPECT_EQ(reducer.reduced_step(), -1) << "it is yet to come";
  place.sums[0].count = 5.0;
  std::ranges::fill(place.contributions, 3);
  reducer.taken_over(7);
  EXPECT_EQ(reducer.reduced_step(), 7);
  EXPECT_EQ(reducer.reduced_sums().count, 5.0);
  EXPECT_TRUE(std::ranges::equal(reducer.contributions(), std::vector<std::int32_t>(4, 3)));
  EXPECT_EQ(arena.commits.size(), 1U);

  // What is held stays, wherever it lay.
  reducer.begin_step(8, regular_assignment(4, 1), 0);
  add_leaf(reducer, 0);
  EXPECT_EQ(reducer.reduced_step(), -1);
  std::ranges::fill(reducer.place_to_take_over().gradient, 1e30F);
  reducer.taken_over(9);
  EXPECT_EQ(reducer.held(8).members(), std::vector<std::int32_t>{0});
  reducer.begin_step(8, regular_assignment(4, 1), 0);
  for (const std::int32_t leaf : reducer.missing()) add_leaf(reducer, leaf);
  SoloCommunicator communicator;
  reducer.reduce(communicator);
  const float expected = tree_reference([](std::int32_t shard) { return shard_gradient(shard, 1)[3]; }, 0, 4);
  EXPECT_EQ(reducer.reduced_data()[layout.offset(1) + 3], expected);
}

// Rank 1 takes rank 0's shards for its own: they come twice, the others not at all.
TEST(GradientReducerTest, RanksThatDisagreeAboutTheirShardsReduceNothing) {
  const BucketLayout layout(kParameters, 1 << 30);
  testing::run_threads(2, [&](Communicator& communicator) {
    GradientReducer reducer(layout, 8);
    const Arena arena(reducer);
    const std::vector<std::vector<Subtree>> blocks = communicator.rank() == 0
                                                         ? std::vector<std::vector<Subtree>>{{{0, 4}}, {{4, 8}}}
                                                         : std::vector<std::vector<Subtree>>{{{4, 8}}, {{0, 4}}};
    reducer.begin_step(7, {.layout = {.leaves = 8, .subtrees = blocks}}, communicator.rank());
    for (const std::int32_t leaf : reducer.missing()) add_leaf(reducer, leaf);
    try {
      reducer.reduce(communicator, [] { ADD_FAILURE() << "a bucket is summed"; });
      ADD_FAILURE() << "it was summed";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInternal);
      EXPECT_STREQ(error.what(), "step 7: shard 0, or one before it, was left out of the sum or added twice");
    }
    EXPECT_EQ(reducer.reduced_step(), -1);
    EXPECT_TRUE(std::ranges::all_of(reducer.reduced(), [](float value) { return value == 0.0F; }));
  });
}

TEST(GradientReducerTest, SaysWhoGaveWhichShards) {
  const BucketLayout layout(kParameters, 1 << 30);
  testing::run_threads(3, [&](Communicator& communicator) {
    GradientReducer reducer(layout, 5);
    const Arena arena(reducer);
    const Assignment assignment{.layout = {.leaves = 5, .subtrees = {{{1, 2}}, {}, {{0, 1}, {2, 4}, {4, 5}}}}};
    reducer.begin_step(7, assignment, communicator.rank());
    for (const std::int32_t leaf : reducer.missing()) add_leaf(reducer, leaf);
    reducer.reduce(communicator);
    EXPECT_TRUE(std::ranges::equal(reducer.contributions(), std::vector<std::int32_t>{2, 0, 2, 2, 2}));
    EXPECT_EQ(reducer.reduced_sums().count, 10.0);
  });
}

// Who is served the last one meanwhile must not take the half of the next for it.
TEST(GradientReducerTest, NoReducedGradientIsThereWhileOneIsWritten) {
  const BucketLayout layout(kParameters, 16 << 10);
  testing::run_threads(2, [&](Communicator& communicator) {
    GradientReducer reducer(layout, 4);
    const Arena arena(reducer);
    for (const std::int64_t step : {6, 7}) {
      reducer.begin_step(step, regular_assignment(4, 2), communicator.rank());
      for (const std::int32_t leaf : reducer.missing()) add_leaf(reducer, leaf);
      EXPECT_EQ(reducer.reduced_step(), step == 6 ? -1 : 6);
      int buckets = 0;
      reducer.reduce(communicator, [&] {
        ++buckets;
        EXPECT_EQ(reducer.reduced_step(), -1);
      });
      EXPECT_GT(buckets, 1);
      EXPECT_EQ(reducer.reduced_step(), step);
    }
  });
}

TEST(SquaredNormTest, DependsOnChunksAndNamesOnly) {
  // The same parameters in two layouts: the cuts differ, the norm must not.
  const BucketLayout one(kParameters, 1 << 30);
  const BucketLayout two(kParameters, 1);
  const auto squares = [](const BucketLayout& layout) {
    std::vector<double> chunks(static_cast<std::size_t>(layout.elements() / kChunkElements));
    for (std::size_t p = 0; p < kParameters.size(); ++p) {
      for (std::int64_t i = 0; i < (kParameters[p].elements + kChunkElements - 1) / kChunkElements; ++i)
        chunks[static_cast<std::size_t>(layout.offset(p) / kChunkElements + i)] =
            1.0 / (3.0 + double(p) + 7.0 * double(i));
    }
    return chunks;
  };
  EXPECT_EQ(squared_norm(one, squares(one)), squared_norm(two, squares(two)));
  EXPECT_GT(squared_norm(one, squares(one)), 0.0);
}

}  // namespace
}  // namespace convoy::distributed
