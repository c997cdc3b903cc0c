#include "worker/evaluation.h"

#include <array>
#include <vector>

#include "core/graph/recorder.h"
#include "core/ops/softmax.h"
#include "distributed/worker_block.h"

namespace convoy::worker {
namespace {

using Sums = std::array<double, 3>;  // loss, targets, correct

Sums evaluate_batch(Replica& replica, const Batch& batch) {
  const Recorder recorder(replica.device(), {}, Recorder::Tape::kOff);
  const Tensor logits = replica.model().logits(replica.inputs_of(batch), Mode::kInfer);
  const Loss loss = cross_entropy(logits, batch.targets);
  return {loss.sum.item(), loss.count.item(), count_correct(logits, batch.targets).item()};
}

}  // namespace

std::optional<Evaluation> evaluate(Replica& replica, const Batches& batches, distributed::Communicator& communicator) {
  const std::int32_t leaves = batches.evaluation_batches();
  if (leaves == 0) return std::nullopt;
  const distributed::WorkerBlock block = distributed::worker_block(leaves, communicator.rank(), communicator.size());
  distributed::ScalarSum sums(block, std::tuple_size_v<Sums>);
  for (std::int32_t leaf = block.leaves.begin; leaf < block.leaves.end; ++leaf)
    sums.add(leaf - block.leaves.begin, evaluate_batch(replica, batches.evaluation(leaf)));
  const std::vector<double> total = sums.reduce(communicator);
  return Evaluation{.loss = total[0] / total[1], .accuracy = total[2] / total[1]};
}

}  // namespace convoy::worker
