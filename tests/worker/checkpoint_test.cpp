#include "worker/checkpoint.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>

#include "core/base/error.h"
#include "tests/worker/small_run.h"
#include "worker/checkpoint_store.h"

namespace convoy::worker {
namespace {

namespace fs = std::filesystem;

std::string write(const SmallRun& run, const Replica& replica, std::int64_t step) {
  return write_checkpoint(run.folder(), {.step = step, .ballot = {1, 1}, .world = 2, .loss = 0.1}, run.recipe, replica);
}

std::string read_all(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_all(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

std::vector<std::string> entries(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

// The message of what `action` throws, which must be of `code`.
std::string failure(ErrorCode code, const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  return "nothing was thrown";
}

// Parameters and moments unlike those of a new replica.
std::unique_ptr<Replica> trained(const SmallRun& run) {
  auto replica = run.replica();
  float value = 1.0F;
  for (const StateTensor& part : replica->state()) part.tensor.data<float>()[0] = value += 1.0F;
  return replica;
}

TEST(CheckpointTest, ReadsBackEveryBitThatWasWritten) {
  for (const char* kind : {"text", "mnist"}) {
    const SmallRun run(kind);
    const auto replica = trained(run);
    const std::string checkpoint = write(run, *replica, 7);
    EXPECT_EQ(checkpoint, (run.folder() / "checkpoints/step-7").string());
    EXPECT_EQ(checkpoint_recipe(checkpoint).model.width, run.recipe.model.width);

    const auto parameters = run.replica();
    read_parameters(checkpoint, *parameters);
    EXPECT_EQ(parameters->parameters_hash(), replica->parameters_hash());
    EXPECT_NE(parameters->state_hash(7), replica->state_hash(7));

    const auto all = run.replica();
    const Manifest manifest = read_state(checkpoint, *all);
    EXPECT_EQ(all->state_hash(7), replica->state_hash(7));
    EXPECT_EQ(manifest.step, 7);
    EXPECT_EQ(manifest.ballot, (Ballot{1, 1}));
    EXPECT_EQ(manifest.world, 2);
    EXPECT_EQ(manifest.loss, 0.1);
    EXPECT_EQ(manifest.parameters_hash, replica->parameters_hash());
  }
}

struct Damage {
  std::string name;
  std::string file;
  std::function<void(const fs::path& file)> inflict;
  std::string message;  // after the file's path
};

void flip_middle_bit(const fs::path& path) {
  std::string bytes = read_all(path);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  write_all(path, bytes);
}
void flip_last_bit(const fs::path& path) {
  std::string bytes = read_all(path);
  bytes.back() = static_cast<char>(bytes.back() ^ 0x40);
  write_all(path, bytes);
}
void cut(const fs::path& path) { fs::resize_file(path, 1000); }
void empty(const fs::path& path) { fs::resize_file(path, 0); }
void remove(const fs::path& path) { fs::remove(path); }

std::vector<Damage> damages() {
  const std::string changed = ": was changed since it was written (its hash is not the one in manifest.json)";
  return {{"AFlippedBitOfAParameter", "parameters.safetensors", flip_middle_bit, changed},
          {"AFlippedBitOfAMoment", "optimizer.safetensors", flip_last_bit, changed},
          {"AFlippedBitOfTheRecipe", "recipe.toml", flip_middle_bit, changed},
          {"ATruncatedShard", "parameters.safetensors", cut, ": holds 1000 bytes, 51232 were written"},
          {"AnEmptyShard", "optimizer.safetensors", empty, ": holds 0 bytes, 102480 were written"},
          {"AMissingShard", "optimizer.safetensors", remove, ": is missing"},
          {"AMissingManifest", "manifest.json", remove, ": is missing"},
          {"AnEmptyManifest", "manifest.json", empty, ": expected a checkpoint's manifest"},
          {"ATornManifest", "manifest.json", [](const fs::path& path) { fs::resize_file(path, 300); },
           ": expected a checkpoint's manifest"},
          {"AnotherSchema", "manifest.json",
           [](const fs::path& path) {
             std::string text = read_all(path);
             text.replace(text.find("\"schema\": 1"), 11, "\"schema\": 9");
             write_all(path, text);
           },
           ": expected schema 1, found 9"}};
}

class DamageTest : public testing::TestWithParam<Damage> {};

TEST_P(DamageTest, IsNamedAndTheCheckpointBeforeIsFound) {
  const SmallRun run("mnist");
  const auto replica = trained(run);
  write(run, *replica, 10);
  const std::string newest = write(run, *replica, 20);
  const std::string file = newest + "/" + GetParam().file;
  GetParam().inflict(file);

  const CheckpointSearch search = find_whole_checkpoint(run.folder(), CheckpointPart::kEverything);
  EXPECT_EQ(search.step, 10);
  ASSERT_EQ(search.damaged.size(), 1U);
  EXPECT_EQ(search.damaged[0], file + GetParam().message);
  const auto other = run.replica();
  const std::string said = failure(ErrorCode::kDataLoss, [&] {
    checkpoint_recipe(newest);
    read_state(newest, *other);
  });
  EXPECT_EQ(said, file + GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(Kinds, DamageTest, testing::ValuesIn(damages()),
                         [](const auto& damage) { return damage.param.name; });
void PrintTo(const Damage& damage, std::ostream* out) { *out << damage.name; }

TEST(CheckpointTest, NoFlippedBitOfAManifestPasses) {
  const SmallRun run("mnist");
  const std::string checkpoint = write(run, *trained(run), 10);
  const std::string bytes = read_all(checkpoint + "/manifest.json");
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    write_all(checkpoint + "/manifest.json", flipped);
    EXPECT_THROW(read_manifest(checkpoint), Error) << "bit " << bit << " of\n" << flipped;
  }
}

TEST(CheckpointTest, AnotherModelsIsNamedByItsFirstDifference) {
  const SmallRun run("mnist");
  const std::string checkpoint = write(run, *trained(run), 1);
  SmallRun wider("mnist");
  wider.recipe.model.hidden = {32};
  const std::string file = checkpoint + "/parameters.safetensors";
  EXPECT_NE(failure(ErrorCode::kDataLoss, [&] { read_parameters(checkpoint, *wider.replica()); })
                .find(file + ": tensor \"layers.0."),
            std::string::npos);
  SmallRun deeper("mnist");
  deeper.recipe.model.hidden = {16, 16};
  EXPECT_NE(failure(ErrorCode::kDataLoss, [&] { read_parameters(checkpoint, *deeper.replica()); }).find(file),
            std::string::npos);
  SmallRun shallower("mnist");
  const auto small = shallower.replica();
  const std::string large = write(deeper, *deeper.replica(), 1);
  EXPECT_NE(failure(ErrorCode::kDataLoss, [&] { read_parameters(large, *small); }), "nothing was thrown");
}

TEST(CheckpointTest, AFolderThatCannotBeWrittenIsNamed) {
  const SmallRun run("mnist");
  write_all(run.folder() / "checkpoints", "a file where the folder should be");
  const auto replica = run.replica();
  const std::string said = failure(ErrorCode::kUnavailable, [&] { write(run, *replica, 1); });
  EXPECT_NE(said.find((run.folder() / "checkpoints/step-1").string()), std::string::npos) << said;
}

// A limit on the size of files stands for a disk that is full.
TEST(CheckpointTest, ADiskThatIsFullLeavesNothingUnderAFinalNameAndKeepsWhatStands) {
  const SmallRun run("mnist");
  const auto replica = trained(run);
  write(run, *replica, 10);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{.rlim_cur = 60'000, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::string said = failure(ErrorCode::kUnavailable, [&] { write(run, *replica, 20); });
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_NE(said.find("optimizer.safetensors: cannot write: File too large"), std::string::npos) << said;
  const CheckpointSearch search = find_whole_checkpoint(run.folder(), CheckpointPart::kEverything);
  EXPECT_EQ(search.step, 10);
  EXPECT_TRUE(search.damaged.empty());
  EXPECT_EQ(entries(run.folder() / "checkpoints"), std::vector<std::string>{"step-10"}) << "it takes no space";
  write(run, *replica, 20);
  EXPECT_EQ(find_whole_checkpoint(run.folder(), CheckpointPart::kEverything).step, 20);
}

// In a process of its own, which is killed when write() has asked for the `kill_at`-th time whether to go on, or, past
// the last of those, before or after the commit. Returns whether it was.
bool killed_writing(const SmallRun& run, const Replica& replica, std::int64_t step, int kill_at) {
  const pid_t child = fork();
  if (child == 0) {
    int asked = 0;
    const auto ask = [&] {
      if (++asked == kill_at) raise(SIGKILL);
    };
    const StateLayout layout(replica.state());
    StateCopy state(layout.memory(layout.all()), 16'384);
    state.begin();
    UnfinishedCheckpoint checkpoint(run.folder(), {.step = step, .ballot = {1, 1}}, layout);
    checkpoint.write(state, ask);
    ask();
    checkpoint.complete(run.recipe);
    ask();
    checkpoint.commit();
    ask();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status);
}

TEST(CheckpointTest, KilledAtAnyInstantItLeavesTheFormerOnesAndNothingHalf) {
  const SmallRun run("mnist");
  const auto replica = trained(run);
  write(run, *replica, 10);
  replica->state()[0].tensor.data<float>()[1] = 8.0F;
  write(run, *replica, 20);
  const std::string old = read_all(run.folder() / "checkpoints/step-20/parameters.safetensors");
  replica->state()[0].tensor.data<float>()[1] = 9.0F;
  int kill_at = 1;
  int replaced = 0;
  for (; killed_writing(run, *replica, 20, kill_at); ++kill_at) {
    EXPECT_EQ(checkpoint_steps(run.folder()), (std::vector<std::int64_t>{10, 20}));
    for (const std::int64_t step : {10, 20}) EXPECT_EQ(find_damage(run.folder(), step), std::nullopt) << kill_at;
    if (read_all(run.folder() / "checkpoints/step-20/parameters.safetensors") != old) ++replaced;
    remove_leftovers(run.folder());
    EXPECT_EQ(entries(run.folder() / "checkpoints").size(), 2U);
  }
  EXPECT_GT(kill_at, 12) << "pieces of 16 KiB";
  EXPECT_EQ(replaced, 1) << "after the commit only";
}

}  // namespace
}  // namespace convoy::worker
