// Steps that are aborted and redone with other members: assignment and gradient reducer together.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <memory>
#include <random>

#include "distributed/gradient_reducer.h"
#include "distributed/solo.h"
#include "tests/distributed/process_ranks.h"
#include "tests/distributed/shard_gradients.h"
#include "tests/distributed/thread_ranks.h"

namespace convoy::distributed {
namespace {

using testing::kParameters;

const BucketLayout& layout() {
  static const BucketLayout only(kParameters, 16 << 10);
  return only;
}

// Of every shard and parameter, made once.
const std::vector<float>& gradient_of(std::int32_t shard, std::size_t parameter) {
  static const auto all = [] {
    std::vector<std::vector<std::vector<float>>> gradients(16);
    for (std::int32_t s = 0; s < 16; ++s)
      for (std::size_t p = 0; p < kParameters.size(); ++p)
        gradients[static_cast<std::size_t>(s)].push_back(testing::shard_gradient(s, p));
    return gradients;
  }();
  return all[static_cast<std::size_t>(shard)][parameter];
}

LossSums sums_of(std::int32_t shard) { return {.loss = 1.1 / (shard + 3), .count = 1.0 + shard, .stops = 0.0}; }

struct Sum {
  std::vector<std::uint32_t> gradient;  // bits
  std::uint64_t loss = 0;
  double count = 0.0;
  bool operator==(const Sum&) const = default;
};

// A worker, with what outlives a membership epoch.
struct Worker {
  explicit Worker(std::int32_t shards) : reducer(layout(), shards), arena(reducer.arena_bytes() / sizeof(float)) {
    reducer.use_arena(std::as_writable_bytes(std::span(arena)), [this](std::size_t, std::size_t) { ++commits; });
  }

  void compute(std::int32_t leaf) {
    reducer.begin_leaf(leaf);
    for (std::size_t p = 0; p < kParameters.size(); ++p) reducer.add(p, gradient_of(leaf, p));
    reducer.end_leaf(sums_of(leaf));
    has_computed.insert(leaf);
  }
  Sum reduce(Communicator& communicator) {
    const LossSums sums = reducer.reduce(communicator);
    Sum sum{.gradient = {}, .loss = std::bit_cast<std::uint64_t>(sums.loss), .count = sums.count};
    for (const float value : std::span(reducer.reduced_data(), static_cast<std::size_t>(layout().elements())))
      sum.gradient.push_back(std::bit_cast<std::uint32_t>(value));
    return sum;
  }

  GradientReducer reducer;
  std::vector<float> arena;
  std::size_t commits = 0;
  std::set<std::int32_t> has_computed;
};

Sum alone(std::int32_t shards) {
  Worker worker(shards);
  worker.reducer.begin_step(1, regular_assignment(shards, 1), 0);
  for (const std::int32_t leaf : worker.reducer.missing()) worker.compute(leaf);
  SoloCommunicator communicator;
  return worker.reduce(communicator);
}

// One step among workers that come and go. Nothing that a survivor has summed is computed again.
class Scene {
 public:
  Scene(std::int32_t shards, std::int32_t world, std::uint32_t seed) : shards_(shards), random_(seed) {
    for (std::int32_t rank = 0; rank < world; ++rank) workers_.push_back(std::make_unique<Worker>(shards));
  }

  std::size_t world() const { return workers_.size(); }
  std::uint32_t draw(std::uint32_t below) { return static_cast<std::uint32_t>(random_()) % below; }

  // An epoch that ends in the middle: some leaves are computed, perhaps all, perhaps some collectives of the reduction.
  void epoch_that_breaks() {
    agree();
    const bool all = draw(3) == 0;
    for (const auto& worker : workers_) {
      std::size_t leaves = worker->reducer.missing().size();
      if (!all && leaves > 0) leaves = draw(static_cast<std::uint32_t>(leaves) + 1);
      for (; leaves > 0; --leaves)
        compute(*worker, worker->reducer.missing()[draw(static_cast<std::uint32_t>(worker->reducer.missing().size()))]);
    }
    if (!all) return;
    testing::run_threads(
        static_cast<std::int32_t>(world()),
        [&](Communicator& communicator) { EXPECT_THROW(worker_of(communicator).reducer.reduce(communicator), Error); },
        static_cast<std::int32_t>(draw(world() == 1 ? 2 : 5)));
  }
  void lose_one() {
    const auto victim = workers_.begin() + draw(static_cast<std::uint32_t>(world()));
    for (const std::int32_t leaf : (*victim)->reducer.held(1).members()) held_.erase(leaf);
    workers_.erase(victim);
  }
  void join_one() {
    workers_.insert(workers_.begin() + draw(static_cast<std::uint32_t>(world()) + 1),
                    std::make_unique<Worker>(shards_));
  }
  void epoch_that_ends(const Sum& expected) {
    agree();
    for (const auto& worker : workers_)
      while (!worker->reducer.missing().empty()) compute(*worker, worker->reducer.missing().front());
    EXPECT_EQ(held_.size(), static_cast<std::size_t>(shards_));
    testing::run_threads(static_cast<std::int32_t>(world()), [&](Communicator& communicator) {
      Worker& worker = worker_of(communicator);
      EXPECT_EQ(worker.reduce(communicator), expected);
      EXPECT_EQ(worker.reducer.reduced_step(), 1);
      for (std::int32_t leaf = 0; leaf < shards_; ++leaf) {
        const std::int32_t rank = worker.reducer.contributions()[static_cast<std::size_t>(leaf)];
        EXPECT_TRUE(workers_[static_cast<std::size_t>(rank)]->has_computed.contains(leaf));
      }
    });
    for (const auto& worker : workers_)
      EXPECT_LE(worker->commits, worker->reducer.arena_bytes() / sizeof(float) / layout().elements());
  }

 private:
  Worker& worker_of(const Communicator& communicator) {
    return *workers_[static_cast<std::size_t>(communicator.rank())];
  }
  void compute(Worker& worker, std::int32_t leaf) {
    worker.compute(leaf);
    EXPECT_TRUE(held_.insert(leaf).second) << "leaf " << leaf << " is computed although it is held";
  }
  void agree() {
    testing::run_threads(static_cast<std::int32_t>(world()), [&](Communicator& communicator) {
      GradientReducer& reducer = worker_of(communicator).reducer;
      const LeafSet held = reducer.held(1);
      const Assignment assignment = agree_on_assignment(communicator, shards_, 1, held);
      reducer.begin_step(1, assignment, communicator.rank());
      EXPECT_EQ(reducer.held(1), held);
      EXPECT_EQ(static_cast<std::int32_t>(reducer.missing().size()),
                assignment.leaves_of(communicator.rank()).count() - held.count());
    });
  }

  const std::int32_t shards_;
  std::mt19937 random_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::set<std::int32_t> held_;  // by somebody alive
};

TEST(RedoneStepTest, HasTheBitsOfOneWorkerWhoeverDies) {
  for (std::int32_t shards = 1; shards <= 13; ++shards) {
    const Sum expected = alone(shards);
    for (std::int32_t world = 1; world <= shards; ++world) {
      Scene scene(shards, world, static_cast<std::uint32_t>(shards * 100 + world));
      while (scene.world() > 1 && scene.draw(8) != 0) {
        scene.epoch_that_breaks();
        scene.lose_one();
      }
      scene.epoch_that_ends(expected);
      if (::testing::Test::HasFailure()) FAIL() << shards << " shards, " << world << " workers";
    }
  }
}

TEST(RedoneStepTest, HasTheBitsOfOneWorkerWhoeverComesAndGoes) {
  for (std::int32_t shards = 2; shards <= 13; ++shards) {
    const Sum expected = alone(shards);
    for (std::uint32_t seed = 0; seed < 4; ++seed) {
      Scene scene(shards, 1 + static_cast<std::int32_t>(seed % 2), 7 * seed);
      for (int epochs = 0; epochs < 8; ++epochs) {
        scene.epoch_that_breaks();
        if (scene.world() == 1 || (scene.world() < static_cast<std::size_t>(shards) && scene.draw(2) == 0))
          scene.join_one();
        else
          scene.lose_one();
      }
      scene.epoch_that_ends(expected);
      if (::testing::Test::HasFailure()) FAIL() << shards << " shards, seed " << seed;
    }
  }
}

// What a joiner may still ask for is there until all have applied it; the next step's partial sums lie elsewhere.
TEST(RedoneStepTest, TheLastReducedGradientStaysUntilTheNextIsReduced) {
  std::vector<std::unique_ptr<Worker>> workers;
  for (int rank = 0; rank < 2; ++rank) workers.push_back(std::make_unique<Worker>(4));
  testing::run_threads(2, [&](Communicator& communicator) {
    Worker& worker = *workers[static_cast<std::size_t>(communicator.rank())];
    worker.reducer.begin_step(1, regular_assignment(4, 2), communicator.rank());
    for (const std::int32_t leaf : worker.reducer.missing()) worker.compute(leaf);
    worker.reduce(communicator);
  });
  const std::vector<float> first(workers[0]->reducer.reduced_data(),
                                 workers[0]->reducer.reduced_data() + layout().elements());
  const float* const place = workers[0]->reducer.reduced_data();
  testing::run_threads(
      2,
      [&](Communicator& communicator) {
        Worker& worker = *workers[static_cast<std::size_t>(communicator.rank())];
        worker.reducer.begin_step(2, regular_assignment(4, 2), communicator.rank());
        for (const std::int32_t leaf : worker.reducer.missing()) worker.compute(leaf);
        EXPECT_THROW(worker.reducer.reduce(communicator), Error);
        EXPECT_EQ(worker.reducer.reduced_step(), 1);
      },
      0);
  EXPECT_TRUE(std::ranges::equal(first, std::span(place, first.size())));
  // Alone with that step, it goes on at the same place.
  SoloCommunicator communicator;
  workers[0]->reducer.begin_step(2, agree_on_assignment(communicator, 4, 2, workers[0]->reducer.held(2)), 0);
  EXPECT_TRUE(std::ranges::equal(workers[0]->reducer.missing(), std::vector<std::int32_t>{2, 3}));
  for (const std::int32_t leaf : workers[0]->reducer.missing()) workers[0]->compute(leaf);
  EXPECT_EQ(workers[0]->reduce(communicator), alone(4));
  EXPECT_EQ(workers[0]->reducer.reduced_data(), place);
}

TEST(RedoneStepTest, WhoIsAtAnotherStepHoldsNothing) {
  testing::run_threads(3, [&](Communicator& communicator) {
    const bool behind = communicator.rank() == 1;
    LeafSet held(6);
    held.insert(communicator.rank());
    const Assignment assignment = agree_on_assignment(communicator, 6, behind ? 8 : 9, held);
    std::vector<LeafSet> expected(3, LeafSet(6));
    expected[0].insert(0);
    expected[2].insert(2);
    EXPECT_EQ(assignment, redone_assignment(6, expected));
  });
}

// Through shared memory: partial sums of any assignment are summed where they lie.
TEST(RedoneStepTest, TheLocalEngineReducesAnyAssignment) {
  const std::int32_t shards = 5;
  const Sum expected = alone(shards);
  testing::run_ranks(3, [&](testing::RankContext& context) {
    Worker worker(shards);
    GradientReducer reducer(layout(), shards);
    reducer.use_arena(context.segment.arena(),
                      [&](std::size_t offset, std::size_t bytes) { context.segment.commit(offset, bytes); });
    const auto communicator = context.communicator();
    // Rank 1 begins with nothing, rank 2 with what is not next to its own.
    reducer.begin_step(1, {.layout = {.leaves = shards, .subtrees = {{{1, 2}}, {}, {{0, 1}, {2, 3}, {3, 4}, {4, 5}}}}},
                       context.rank);
    for (const std::int32_t leaf : std::vector<std::int32_t>(reducer.missing().begin(), reducer.missing().end())) {
      if (leaf == 4) continue;
      reducer.begin_leaf(leaf);
      for (std::size_t p = 0; p < kParameters.size(); ++p) reducer.add(p, gradient_of(leaf, p));
      reducer.end_leaf(sums_of(leaf));
    }
    reducer.begin_step(1, agree_on_assignment(*communicator, shards, 1, reducer.held(1)), context.rank);
    for (const std::int32_t leaf : reducer.missing()) {
      EXPECT_EQ(leaf, 4);
      reducer.begin_leaf(leaf);
      for (std::size_t p = 0; p < kParameters.size(); ++p) reducer.add(p, gradient_of(leaf, p));
      reducer.end_leaf(sums_of(leaf));
    }
    reducer.reduce(*communicator);
    for (std::size_t i = 0; i < expected.gradient.size(); ++i)
      ASSERT_EQ(std::bit_cast<std::uint32_t>(reducer.reduced_data()[i]), expected.gradient[i]) << "element " << i;
  });
}

}  // namespace
}  // namespace convoy::distributed
