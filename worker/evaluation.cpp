#include "worker/evaluation.h"

#include <array>
#include <string>
#include <vector>

#include "core/graph/recorder.h"
#include "core/ops/softmax.h"
#include "distributed/worker_block.h"

namespace convoy::worker {
namespace {

using Sums = std::array<double, 4>;  // loss, targets, correct, batches left out

}  // namespace

StepFunction evaluation_of(const Replica& replica) {
  return replica.function(std::string(kEvaluation), {"inputs", "targets"},
                          [&replica](std::span<const Tensor> inputs, const StepFunction::Give& give) {
                            const TapePause pause;
                            const Tensor logits = replica.model().logits(replica.inputs_of(inputs[0]), Mode::kInfer);
                            const Loss loss = cross_entropy(logits, inputs[1]);
                            give(0, "loss", loss.sum);
                            give(1, "count", loss.count);
                            give(2, "correct", count_correct(logits, inputs[1]));
                          });
}

std::optional<Evaluation> evaluate(Replica& replica, const Batches& batches, distributed::Communicator& communicator,
                                   const std::function<bool()>& stops) {
  const std::int32_t leaves = batches.evaluation_batches();
  if (leaves == 0) return std::nullopt;
  const distributed::WorkerBlock block = distributed::worker_block(leaves, communicator.rank(), communicator.size());
  distributed::ScalarSum sums(block, std::tuple_size_v<Sums>);
  const StepFunction function = evaluation_of(replica);
  bool stopped = false;
  for (std::int32_t leaf = block.leaves.begin; leaf < block.leaves.end; ++leaf) {
    Sums batch_sums{};
    stopped = stopped || (stops && stops());
    if (stopped) {  // the sums are taken all the same: the others wait for them
      batch_sums.back() = 1.0;
      sums.add(leaf - block.leaves.begin, batch_sums);
      continue;
    }
    const Batch batch = batches.evaluation(leaf);
    replica.run(function, {}, std::array{batch.inputs, batch.targets},
                [&](std::size_t result, const Tensor& value) { batch_sums[result] = value.item(); });
    sums.add(leaf - block.leaves.begin, batch_sums);
  }
  const std::vector<double> total = sums.reduce(communicator);
  return Evaluation{.loss = total[0] / total[1], .accuracy = total[2] / total[1], .abandoned = total[3] > 0.0};
}

}  // namespace convoy::worker
