// Runs that are stopped at step 10 and gone on with by another number of workers, against one that was never stopped
// and had one worker: every bit, before the stop and after it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <ostream>
#include <string>
#include <vector>

#include "tests/bits/bits_run.h"

namespace convoy {
namespace {

constexpr int kStop = 10;

struct Row {
  std::string name;
  Job job;
  Workers before;
  Workers after;
};
void PrintTo(const Row& row, std::ostream* out) { *out << row.name; }

// "Gpt_fp32_2To4_Mpi", "Gpt_fp32_3To2_LaunchToMpi".
Row row(const std::string& model, const Job& job, const Workers& before, const Workers& after) {
  const auto how = [](const Workers& workers) -> std::string {
    if (workers.count == 0) return "Alone";
    if (workers.start == Workers::Start::kConvoy) return "Launch";
    return workers.engine == "mpi" ? "Mpi" : "Mpirun";
  };
  const std::string change = how(before) == how(after) ? "" : "To" + how(after);
  return {
      .name = fmt::format("{}_{}_{}To{}_{}{}", model, job.precision, before.count, after.count, how(before), change),
      .job = job,
      .before = before,
      .after = after};
}

// With each engine, each number of workers stops and each goes on.
std::vector<Row> all_rows() {
  const auto launched = [](int count) { return Workers{.count = count, .start = {}, .engine = "local"}; };
  const auto local = [](int count) { return under_mpirun(count, "local"); };
  const auto mpi = [](int count) { return under_mpirun(count, "mpi"); };
  const std::string buckets = "sync.bucket_mib=0.05";
  std::vector<Row> rows;
  for (const std::string& precision : kPrecisions) {
    const Job gpt{.recipe = "gpt-tiny.toml", .overrides = {buckets, "train.global_batch=8"}, .precision = precision};
    const Job resnet{.recipe = "mnist-resnet.toml",
                     .overrides = {buckets, "model.width=4", "train.global_batch=32"},
                     .precision = precision};
    for (const auto& [name, job] : {std::pair{"Gpt", gpt}, std::pair{"ResNet", resnet}}) {
      rows.push_back(row(name, job, launched(1), launched(2)));
      rows.push_back(row(name, job, launched(2), launched(4)));
      rows.push_back(row(name, job, launched(3), launched(1)));
      rows.push_back(row(name, job, launched(4), launched(3)));
      rows.push_back(row(name, job, mpi(1), mpi(3)));
      rows.push_back(row(name, job, mpi(2), mpi(1)));
      rows.push_back(row(name, job, mpi(3), mpi(4)));
      rows.push_back(row(name, job, mpi(4), mpi(2)));
      rows.push_back(row(name, job, local(2), local(3)));
    }
    rows.push_back(row("Gpt", gpt, {.count = 0}, launched(2)));
    rows.push_back(row("Gpt", gpt, launched(2), {.count = 0}));
    rows.push_back(row("Gpt", gpt, launched(3), mpi(2)));
    rows.push_back(row("ResNet", resnet, mpi(4), launched(1)));
    const Job mlp{.recipe = "mnist-mlp.toml", .precision = precision};
    rows.push_back(row("Mlp", mlp, launched(1), launched(3)));
    rows.push_back(row("Mlp", mlp, mpi(4), mpi(1)));
    const Job llama{.recipe = "llama-tiny.toml", .overrides = {"train.global_batch=8"}, .precision = precision};
    rows.push_back(row("Llama", llama, launched(1), launched(2)));
    rows.push_back(row("Llama", llama, mpi(3), mpi(2)));
  }
  return rows;
}

class ResumeBitsTest : public ::testing::TestWithParam<Row> {
 protected:
  // Trained once for all rows of a job.
  static const Outcome& undisturbed(const Job& job) {
    static std::map<std::string, Outcome> outcomes;
    Outcome& outcome = outcomes[job.recipe + job.precision];
    if (outcome.loss_bits.empty()) outcome = train(job, {.count = 0});
    return outcome;
  }
};

TEST_P(ResumeBitsTest, NoBitTellsWhereARunWasStopped) {
  const auto& [name, job, before, after] = GetParam();
  if (std::max(before.start, after.start) == Workers::Start::kMpirun && !has_mpirun())
    GTEST_SKIP() << "there is no MPI here";
  const Outcome& reference = undisturbed(job);
  ASSERT_EQ(reference.loss_bits.size(), static_cast<std::size_t>(kSteps));
  BitsRun run;
  run.train(job, before);
  {
    SCOPED_TRACE(to_string(before));
    EXPECT_EQ(run.outcome().world, std::max(before.count, 1));
    expect_same_bits(run.outcome(), reference);
  }
  run.forget_what_followed(kStop);
  run.resume(after);
  SCOPED_TRACE("resumed by " + to_string(after));
  EXPECT_EQ(run.outcome().world, std::max(after.count, 1));
  expect_same_bits(run.outcome(), reference);
  int step = 0;
  for (const auto& line : run.records("metrics")) EXPECT_EQ(line.at("ballot"), ++step <= kStop ? "1.1" : "2.1");
}

INSTANTIATE_TEST_SUITE_P(Rows, ResumeBitsTest, ::testing::ValuesIn(all_rows()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace convoy
