#include "worker/evaluation.h"

#include <array>
#include <vector>

#include "core/base/tree.h"
#include "core/graph/recorder.h"
#include "core/ops/softmax.h"

namespace convoy::worker {
namespace {

using Sums = std::array<double, 3>;  // loss, targets, correct

Sums evaluate_batch(Replica& replica, const Batch& batch) {
  const Recorder recorder(replica.device(), {}, Recorder::Tape::kOff);
  const Tensor logits = replica.model().logits(batch.inputs, Mode::kInfer);
  const Loss loss = cross_entropy(logits, batch.targets);
  return {loss.sum.item(), loss.count.item(), count_correct(logits, batch.targets).item()};
}

Sums add(const Sums& a, const Sums& b) { return {a[0] + b[0], a[1] + b[1], a[2] + b[2]}; }

}  // namespace

std::optional<Evaluation> evaluate(Replica& replica, const Batches& batches, distributed::Communicator& communicator) {
  const std::int32_t leaves = batches.evaluation_batches();
  if (leaves == 0) return std::nullopt;
  distributed::TreeLayout layout{.leaves = leaves, .subtrees = {}};
  for (std::int32_t rank = 0; rank < communicator.size(); ++rank) {
    const Subtree block = block_of(leaves, rank, communicator.size());
    layout.subtrees.push_back(maximal_subtrees(leaves, block.begin, block.end));
  }
  const Subtree mine = block_of(leaves, communicator.rank(), communicator.size());
  const BlockSchedule schedule = block_schedule(leaves, mine);
  std::vector<Sums> slots(static_cast<std::size_t>(schedule.slots));
  for (std::int32_t leaf = mine.begin; leaf < mine.end; ++leaf) {
    const LeafStep& step = schedule.leaves[static_cast<std::size_t>(leaf - mine.begin)];
    Sums sums = evaluate_batch(replica, batches.evaluation(leaf));
    for (const std::int32_t merge : step.merge) sums = add(slots[static_cast<std::size_t>(merge)], sums);
    slots[static_cast<std::size_t>(step.store)] = sums;
  }
  std::vector<const void*> partials;
  for (const std::int32_t slot : schedule.subtree_slot) partials.push_back(&slots[static_cast<std::size_t>(slot)]);
  Sums total{};
  communicator.tree_all_reduce(distributed::ReduceType::kF64, layout, partials, total.data(), 3, 3);
  return Evaluation{.loss = total[0] / total[1], .accuracy = total[2] / total[1]};
}

}  // namespace convoy::worker
