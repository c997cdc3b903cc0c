// Environments as real launchers left them, cut down to what could mislead.
#include <gtest/gtest.h>

#include <map>

#include "cluster/place.h"
#include "core/base/error.h"

namespace convoy::cluster {
namespace {

using Variables = std::map<std::string, std::string>;

Variables with(Variables variables, const Variables& more) {
  for (const auto& [name, value] : more) variables[name] = value;
  return variables;
}

Place place_in(const Variables& variables, std::string_view choice = "auto") {
  return find_place(
      [&](const std::string& name) -> std::optional<std::string> {
        const auto found = variables.find(name);
        return found == variables.end() ? std::nullopt : std::optional(found->second);
      },
      choice);
}

const Variables kMpirun = {{"OMPI_COMM_WORLD_RANK", "1"},
                           {"OMPI_COMM_WORLD_SIZE", "4"},
                           {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                           {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"},
                           {"OMPI_MCA_ess_base_jobid", "154861569"},
                           {"PMIX_NAMESPACE", "154861569"},
                           {"PMIX_RANK", "1"}};
const Variables kHydra = {{"PMI_RANK", "1"},        {"PMI_SIZE", "2"},        {"PMI_FD", "8"},
                          {"MPI_LOCALRANKID", "1"}, {"MPI_LOCALNRANKS", "2"}, {"HYDI_CONTROL_FD", "7"}};
const Variables kBatchScript = {{"SLURM_JOB_ID", "12"},          {"SLURM_PROCID", "0"}, {"SLURM_LOCALID", "0"},
                                {"SLURM_NTASKS", "4"},           {"SLURM_NODEID", "0"}, {"SLURM_NNODES", "2"},
                                {"SLURM_JOB_NODELIST", "h[1-2]"}};
// The first task on the third of four nodes: srun -N4 -n8 of a job that gave the first node five tasks.
const Variables kSrun = with(kBatchScript, {{"SLURM_STEP_ID", "0"},
                                            {"SLURM_STEP_NUM_TASKS", "8"},
                                            {"SLURM_PROCID", "6"},
                                            {"SLURM_LOCALID", "0"},
                                            {"SLURM_NODEID", "2"},
                                            {"SLURMD_NODENAME", "h3"},
                                            {"SLURM_STEP_TASKS_PER_NODE", "5,1(x3)"},
                                            {"SLURM_STEP_NODELIST", "h[1-4]"}});
const Variables kSrunPmi2 = with(kSrun, {{"PMI_RANK", "6"}, {"PMI_SIZE", "8"}, {"PMI_FD", "9"}});
const Variables kLaunched = {{kRankVariable, "0"},
                             {kWorldVariable, "3"},
                             {kLocalRankVariable, "0"},
                             {kLocalWorldVariable, "3"},
                             {kSchedulerVariable, "tcp://10.0.0.1:4321"},
                             {kSchedulerKeyVariable, std::string(40, 'k')},
                             {kTokenVariable, std::string(64, 'a')}};

const auto kName = [](const auto& instance) { return std::string(instance.param.name); };

struct Case {
  const char* name;
  Variables variables;
  std::int32_t rank, world, local_rank, local_world;
  const char* detected_by;
  const char* job;
  const char* incarnation;
};
void PrintTo(const Case& value, std::ostream* out) { *out << value.name; }

class LauncherTest : public testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(
    Environments, LauncherTest,
    testing::Values(
        Case{"Mpirun", kMpirun, 1, 4, 1, 2, "Open MPI: OMPI_COMM_WORLD_RANK=1, OMPI_COMM_WORLD_SIZE=4", "154861569",
             "154861569"},
        // Ranks of mpirun inside a Slurm job carry the daemon's SLURM_PROCID.
        Case{"MpirunInASlurmStep", with(kSrun, kMpirun), 1, 4, 1, 2,
             "Open MPI: OMPI_COMM_WORLD_RANK=1, OMPI_COMM_WORLD_SIZE=4", "154861569", "154861569"},
        Case{"Hydra", kHydra, 1, 2, 1, 2, "PMI: PMI_RANK=1, PMI_SIZE=2", "", ""},
        Case{"SrunPmi2", kSrunPmi2, 6, 8, 0, 1, "PMI: PMI_RANK=6, PMI_SIZE=8", "12.0", "12.0 start 0"},
        Case{"PmiWithoutLocalRanks",
             {{"PMI_RANK", "1"}, {"PMI_SIZE", "2"}},
             1,
             2,
             0,
             1,
             "PMI: PMI_RANK=1, PMI_SIZE=2",
             "",
             ""},
        Case{"Srun", kSrun, 6, 8, 0, 1, "Slurm: SLURM_PROCID=6, SLURM_STEP_NUM_TASKS=8", "12.0", "12.0 start 0"},
        Case{"SrunFirstNode", with(kSrun, {{"SLURM_PROCID", "3"}, {"SLURM_LOCALID", "3"}, {"SLURMD_NODENAME", "h1"}}),
             3, 8, 3, 5, "Slurm: SLURM_PROCID=3, SLURM_STEP_NUM_TASKS=8", "12.0", "12.0 start 0"},
        Case{"SrunRequeued", with(kSrun, {{"SLURM_RESTART_COUNT", "1"}}), 6, 8, 0, 1,
             "Slurm: SLURM_PROCID=6, SLURM_STEP_NUM_TASKS=8", "12.0", "12.0 start 1"},
        Case{"BatchScript", kBatchScript, 0, 1, 0, 1, "alone: no launcher's variables", "", ""},
        Case{"ConvoyLaunchInAStep", with(with(kSrunPmi2, kMpirun), kLaunched), 0, 3, 0, 3,
             "convoy launch: CONVOY_RANK=0, CONVOY_WORLD_SIZE=3", "", ""}),
    kName);

TEST_P(LauncherTest, IsFoundWithItsNumbers) {
  const Case& expected = GetParam();
  const Place place = place_in(expected.variables);
  EXPECT_EQ(place.rank, expected.rank);
  EXPECT_EQ(place.world, expected.world);
  EXPECT_EQ(place.local_rank, expected.local_rank);
  EXPECT_EQ(place.local_world, expected.local_world);
  EXPECT_EQ(place.detected_by, expected.detected_by);
  EXPECT_EQ(place.job, expected.job);
  EXPECT_EQ(place.incarnation, expected.incarnation);
}

TEST(PlaceChoiceTest, OneLauncherIsBelievedWhateverTheOthersSay) {
  const Variables all = with(kSrunPmi2, kMpirun);
  EXPECT_EQ(place_in(all, "openmpi").launcher, Launcher::kOpenMpi);
  EXPECT_EQ(place_in(all, "pmi").launcher, Launcher::kPmi);
  EXPECT_EQ(place_in(all, "slurm").launcher, Launcher::kSlurm);
  const Place alone = place_in(all, "alone");
  EXPECT_EQ(alone.world, 1);
  EXPECT_EQ(alone.detected_by, "alone: --place alone");
  EXPECT_EQ(place_in(with(all, kLaunched), "alone").launcher, Launcher::kConvoy);
}

struct Wrong {
  const char* name;
  Variables variables;
  const char* choice;
  const char* message;
};
void PrintTo(const Wrong& value, std::ostream* out) { *out << value.name; }

class WrongEnvironmentTest : public testing::TestWithParam<Wrong> {};
INSTANTIATE_TEST_SUITE_P(
    Environments, WrongEnvironmentTest,
    testing::Values(
        Wrong{"UnknownChoice", {}, "mpi", "--place mpi: expected one of auto, alone, openmpi, pmi, slurm"},
        Wrong{"ChoiceThatIsNotThere", kMpirun, "slurm",
              "--place slurm: none of the variables that it would set is there"},
        Wrong{"HalfOfOpenMpi",
              {{"OMPI_COMM_WORLD_SIZE", "2"}},
              "auto",
              "OMPI_COMM_WORLD_SIZE is set but OMPI_COMM_WORLD_RANK is not: Open MPI sets both (--place alone ignores "
              "them)"},
        Wrong{"RankBeyondTheWorld", with(kMpirun, {{"OMPI_COMM_WORLD_RANK", "4"}}), "auto",
              "OMPI_COMM_WORLD_RANK=4 must be at least 0 and below OMPI_COMM_WORLD_SIZE=4"},
        Wrong{"MoreHereThanAnywhere", with(kMpirun, {{"OMPI_COMM_WORLD_LOCAL_SIZE", "5"}}), "auto",
              "OMPI_COMM_WORLD_LOCAL_SIZE=5 must not be above OMPI_COMM_WORLD_SIZE=4"},
        Wrong{"NotANumber", with(kHydra, {{"PMI_SIZE", "two"}}), "auto", "PMI_SIZE='two' is not a whole number"},
        Wrong{"StepWithoutSize",
              {{"SLURM_STEP_ID", "0"}, {"SLURM_PROCID", "0"}},
              "auto",
              "SLURM_STEP_ID is set but SLURM_STEP_NUM_TASKS is not: Slurm sets both (--place alone ignores them)"},
        Wrong{"TasksThatDoNotAddUp", with(kSrun, {{"SLURM_STEP_TASKS_PER_NODE", "2(x3)"}}), "auto",
              "SLURM_STEP_TASKS_PER_NODE=2(x3) makes 6 tasks, but there are 8"},
        Wrong{"NodeOutsideOfTheStep", with(kSrun, {{"SLURMD_NODENAME", "h9"}}), "auto",
              "SLURMD_NODENAME=h9 is not one of the 4 nodes of SLURM_STEP_NODELIST=h[1-4]"}),
    kName);

TEST_P(WrongEnvironmentTest, IsNamed) {
  try {
    (void)place_in(GetParam().variables, GetParam().choice);
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    EXPECT_STREQ(error.what(), GetParam().message);
  }
}

}  // namespace
}  // namespace convoy::cluster
