#include "worker/state_layout.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/io/safetensors.h"
#include "tests/worker/small_run.h"

namespace convoy::worker {
namespace {

TEST(StateLayoutTest, FilesAreThoseOfASafetensorsWriter) {
  const SmallRun run("text");
  const auto replica = run.replica();
  const StateLayout layout(replica->state());
  ASSERT_EQ(layout.files().size(), 2U);
  EXPECT_EQ(layout.files()[0].name, kParametersFile);
  EXPECT_EQ(layout.files()[1].name, kOptimizerFile);
  std::size_t state = 0;
  for (std::size_t i = 0; i < layout.files().size(); ++i) {
    const std::string path = run.folder() / layout.files()[i].name;
    std::vector<NamedSpec> specs;
    for (const StateLayout::Placed& tensor : layout.tensors())
      if (tensor.file == i) specs.push_back({tensor.name, tensor.spec});
    SafetensorsWriter writer(path, specs);
    for (const StateLayout::Placed& tensor : layout.tensors()) {
      if (tensor.file != i) continue;
      writer.write({tensor.memory, tensor.spec.bytes()});
      EXPECT_EQ(tensor.range.begin, static_cast<std::int64_t>(state));
      state += tensor.spec.bytes();
    }
    EXPECT_EQ(writer.commit().bytes, layout.files()[i].bytes);
  }
  EXPECT_EQ(layout.all(), (StateRange{0, static_cast<std::int64_t>(state)}));
}

TEST(StateLayoutTest, SharesCoverTheStateOnceAndAreAboutEqual) {
  SmallRun run("mnist");
  run.recipe.model.hidden = {128};
  const auto replica = run.replica();
  const StateLayout layout(replica->state());
  for (std::size_t writers = 1; writers <= 8; ++writers) {
    const std::vector<StateRange> shares = layout.shares(writers);
    ASSERT_EQ(shares.size(), writers);
    std::int64_t end = 0;
    for (std::size_t i = 1; i <= writers; ++i) {
      const StateRange& share = shares[i % writers];  // the first writer's is the last
      EXPECT_EQ(share.begin, end);
      EXPECT_NEAR(static_cast<double>(share.bytes()), static_cast<double>(layout.all().bytes()) / writers, 8192);
      end = share.end;
      std::int64_t bytes = 0;
      for (const StateLayout::Chunk& chunk : layout.chunks(share)) bytes += chunk.range.bytes();
      EXPECT_EQ(bytes, share.bytes());
      EXPECT_EQ(total_bytes(layout.memory(share)), share.bytes());
    }
    EXPECT_EQ(end, layout.all().end);
  }
}

TEST(StateLayoutTest, NoTwoSharesHaveAPageOfAFileInCommon) {
  SmallRun run("mnist");
  run.recipe.model.hidden = {128};
  const auto replica = run.replica();
  const StateLayout layout(replica->state());
  for (std::size_t writers = 2; writers <= 8; ++writers) {
    const std::vector<StateRange> shares = layout.shares(writers);
    for (std::size_t i = 0; i < shares.size(); ++i) {
      const StateLayout::Chunk first = layout.chunks(shares[i]).front();
      const bool begins_file = first.range.begin == layout.files()[layout.tensors()[first.tensor].file].range.begin;
      EXPECT_TRUE(begins_file || layout.file_offset(first) % 4096 == 0) << i << " of " << writers;
    }
  }
}

TEST(StateLayoutTest, ATensorThatIsLargerThanAShareIsCut) {
  SmallRun run("mnist");
  run.recipe.model.hidden = {128};
  const auto replica = run.replica();
  const StateLayout layout(replica->state());
  const std::vector<StateRange> shares = layout.shares(8);
  std::size_t tensor_of_all = 0;
  for (const StateRange& share : shares) tensor_of_all += layout.chunks(share).size();
  EXPECT_GT(tensor_of_all, layout.tensors().size());
  const auto& largest = *std::ranges::max_element(
      layout.tensors(), {}, [](const StateLayout::Placed& tensor) { return tensor.range.bytes(); });
  EXPECT_GT(largest.range.bytes(), shares[1].bytes());
}

TEST(StateLayoutTest, NobodyGetsAShareThatIsNotWorthTheWhile) {
  const SmallRun run("mnist");
  const StateLayout layout(run.replica()->state());
  ASSERT_EQ(layout.all().bytes() / 65'536, 2);
  EXPECT_EQ(layout.shares(8).size(), 2U);
}

}  // namespace
}  // namespace convoy::worker
