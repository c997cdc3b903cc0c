#include <gtest/gtest.h>

#include <mutex>
#include <set>
#include <thread>

#include "tests/worker/small_run.h"
#include "worker/checkpoint.h"
#include "worker/commands.h"

namespace convoy::worker {
namespace {

// Notes who reads it.
class WatchedData final : public Dataset {
 public:
  struct Readers {
    std::mutex mutex;
    std::set<std::thread::id> threads;
  };

  explicit WatchedData(Readers& readers) : readers_(readers) {}
  std::int64_t size(Split split) const override { return split == Split::kTrain ? 90 : 31; }
  SampleSpec input_spec() const override { return {.dtype = DType::kF32, .shape = {4}}; }
  SampleSpec target_spec() const override { return {.dtype = DType::kI32, .shape = {}}; }
  std::int64_t classes() const override { return 3; }

 private:
  void read_sample(Split, SampleId sample, void* input, std::int32_t* target) const override {
    for (std::int64_t i = 0; i < 4; ++i) static_cast<float*>(input)[i] = static_cast<float>(sample.number * i % 7);
    *target = static_cast<std::int32_t>(sample.number % 3);
    const std::scoped_lock lock(readers_.mutex);
    readers_.threads.insert(std::this_thread::get_id());
  }

  Readers& readers_;
};

TEST(EvalCommandTest, ThreadsReadAheadAsInTraining) {
  SmallRun run("mnist");
  WatchedData::Readers readers;
  run.dataset = std::make_unique<WatchedData>(readers);
  const std::string checkpoint =
      write_checkpoint(run.folder(), {.step = 1, .ballot = {1, 1}}, run.recipe, *run.replica());
  Workload workload;
  workload.open_dataset = [&](const Recipe&) { return std::make_unique<WatchedData>(readers); };
  const auto evaluate_with = [&](const std::string& threads) {
    readers.threads.clear();
    return evaluate_checkpoint({.source = checkpoint, .overrides = {"data.threads=" + threads}, .workload = workload});
  };
  const CheckpointEvaluation plain = evaluate_with("0");
  EXPECT_EQ(readers.threads, std::set{std::this_thread::get_id()});
  EXPECT_EQ(plain.samples, 31);
  const CheckpointEvaluation ahead = evaluate_with("2");
  EXPECT_FALSE(readers.threads.contains(std::this_thread::get_id()));
  EXPECT_FALSE(readers.threads.empty());
  EXPECT_EQ(ahead.loss, plain.loss);
  EXPECT_EQ(ahead.accuracy, plain.accuracy);
}

}  // namespace
}  // namespace convoy::worker
