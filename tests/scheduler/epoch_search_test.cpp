#include "tests/scheduler/epoch_search.h"

#include <gtest/gtest.h>

#include <iostream>
#include <string>

namespace convoy::scheduler {
namespace {

struct Row {
  std::string name;
  Perils perils;
};
std::string name_of(const testing::TestParamInfo<Row>& info) { return info.param.name; }

// Everything that can happen in small worlds: a run never diverges, and never comes to a state from which it cannot
// come to its end.
class EpochSearchTest : public testing::TestWithParam<Row> {};
INSTANTIATE_TEST_SUITE_P(
    Worlds, EpochSearchTest,
    testing::Values(Row{"TwoKills", {.workers = 3, .kills = 2}},
                    Row{"TwoSteps", {.workers = 2, .steps = 2, .kills = 2, .suspicions = 1, .early_timers = 1}},
                    Row{"Crashes", {.workers = 2, .kills = 2, .losses = 1, .repeats = 1, .crashes = 2}},
                    Row{"CrashAndSuspicion", {.workers = 2, .suspicions = 1, .early_timers = 1, .crashes = 1}},
                    Row{"Partition", {.workers = 3, .cuts = 1}},
                    Row{"FromTheStart", {.workers = 2, .kills = 1, .losses = 1, .crashes = 1, .from_start = true}},
                    Row{"Joiner", {.workers = 2, .joiners = 1, .steps = 2, .kills = 1}},
                    Row{"JoinerAndCrash", {.workers = 2, .joiners = 1, .kills = 1, .crashes = 1}},
                    Row{"JoinerComesToOne", {.workers = 1, .joiners = 1, .steps = 2, .kills = 1, .crashes = 1}},
                    Row{"TooFew", {.workers = 2, .joiners = 1, .min_workers = 2, .kills = 1, .early_timers = 1}}),
    name_of);

void expect_nothing(const Perils& perils, std::size_t limit) {
  const Found found = search<cluster::AllRules>(perils, limit);
  std::cout << found.states << " states, " << found.moves << " moves\n";
  EXPECT_NE(found.what, Found::What::kTooLarge) << limit << " states were not enough";
  EXPECT_NE(found.what, Found::What::kWrong) << found.why << ":\n" << found.trace;
  EXPECT_NE(found.what, Found::What::kStuck) << "no end is in reach after:\n" << found.trace;
}

TEST_P(EpochSearchTest, NeitherDivergesNorGetsStuck) { expect_nothing(GetParam().perils, 1'000'000); }

// Minutes and gigabytes: scripts/epoch-search.sh.
class LargeEpochSearchTest : public testing::TestWithParam<Row> {};
INSTANTIATE_TEST_SUITE_P(
    Worlds, LargeEpochSearchTest,
    testing::Values(
        Row{"ThreeSuspected", {.workers = 3, .kills = 1, .suspicions = 1, .early_timers = 1}},
        Row{"PartitionAndKill", {.workers = 3, .kills = 1, .cuts = 1}},
        Row{"PartitionAndCrash", {.workers = 2, .steps = 2, .losses = 1, .crashes = 1, .cuts = 1}},
        Row{"ThreeTwoSteps", {.workers = 3, .steps = 2, .kills = 2}},
        Row{"ThreeCrash", {.workers = 3, .kills = 1, .losses = 1, .crashes = 1}},
        Row{"JoinerSuspected", {.workers = 2, .joiners = 1, .steps = 2, .suspicions = 1}},
        Row{"JoinerCrash", {.workers = 2, .joiners = 1, .steps = 2, .kills = 1, .crashes = 1}},
        Row{"Everything",
            {.workers = 2, .kills = 2, .suspicions = 1, .early_timers = 1, .losses = 1, .repeats = 1, .crashes = 1}},
        Row{"StaleMessages", {.workers = 2, .kills = 1, .losses = 1, .crashes = 2, .stale_messages = true}}),
    name_of);

TEST_P(LargeEpochSearchTest, DISABLED_NeitherDivergesNorGetsStuck) { expect_nothing(GetParam().perils, 20'000'000); }

// The rules, to be left out one at a time.
struct SwitchedRules {
  static inline bool seal_aborts = true;
  static inline bool seal_binds = true;
  static inline bool kill_before_epoch = true;
  static inline bool epoch_needs_holder = true;
  static inline bool restart_seals = true;
};

struct Omission {
  std::string name;
  bool* rule;
  Perils perils;
  Found::What comes_of_it;
};
std::string omission_of(const testing::TestParamInfo<Omission>& info) { return info.param.name; }
class OmissionTest : public testing::TestWithParam<Omission> {};
INSTANTIATE_TEST_SUITE_P(Rules, OmissionTest,
                         testing::Values(Omission{"ASealThatAbortsNothing",
                                                  &SwitchedRules::seal_aborts,
                                                  {.workers = 2, .kills = 1, .consequences_only = true},
                                                  Found::What::kStuck},
                                         Omission{
                                             "ASealThatDoesNotBind",
                                             &SwitchedRules::seal_binds,
                                             {.workers = 2, .kills = 1, .suspicions = 1, .consequences_only = true},
                                             Found::What::kStuck},
                                         Omission{"AnEpochBesideTheExcluded",
                                                  &SwitchedRules::kill_before_epoch,
                                                  {.workers = 2, .suspicions = 1},
                                                  Found::What::kWrong},
                                         Omission{"AnEpochWithoutAHolder",
                                                  &SwitchedRules::epoch_needs_holder,
                                                  {.workers = 2, .joiners = 1, .kills = 1, .early_timers = 1},
                                                  Found::What::kStuck},
                                         Omission{"ARestartWithoutASeal",
                                                  &SwitchedRules::restart_seals,
                                                  {.workers = 2, .crashes = 1},
                                                  Found::What::kStuck}),
                         omission_of);

TEST_P(OmissionTest, IsFound) {
  const Found with_it = search<SwitchedRules>(GetParam().perils, 1'000'000);
  EXPECT_EQ(with_it.what, Found::What::kNothing) << with_it.why << "\n" << with_it.trace;
  *GetParam().rule = false;
  const Found found = search<SwitchedRules>(GetParam().perils, 1'000'000);
  *GetParam().rule = true;
  EXPECT_EQ(found.what, GetParam().comes_of_it) << found.why << "\n" << found.trace;
  EXPECT_EQ(found.why, found.what == Found::What::kWrong ? "workers 0 and 1 applied different gradients" : "");
}

}  // namespace
}  // namespace convoy::scheduler
