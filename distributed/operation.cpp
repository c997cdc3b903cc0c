#include "distributed/operation.h"

#include "distributed/tree_reduction.h"

namespace convoy::distributed {

std::string_view operation_name(Operation operation) {
  switch (operation) {
    case Operation::kAllToAll:
      return "all_to_all_v";
    case Operation::kAllGather:
      return "all_gather_v";
    case Operation::kReduceScatter:
      return "reduce_scatter";
    case Operation::kAllReduce:
      return "all_reduce";
    case Operation::kBroadcast:
      return "broadcast";
    case Operation::kSend:
      return "send";
    case Operation::kReceive:
      return "receive";
    case Operation::kTreeAllReduce:
      return "tree_all_reduce";
    case Operation::kMorePieces:
      return "the next piece";
    case Operation::kAllRead:
      return "the end of a collective";
  }
  return "an unknown operation";
}

TreeLayout one_leaf_a_rank(std::int32_t ranks) {
  TreeLayout layout{ranks, {}};
  for (std::int32_t rank = 0; rank < ranks; ++rank) layout.subtrees.push_back({{rank, rank + 1}});
  return layout;
}

ScatteredSum::ScatteredSum(ReduceType type, const void* send, std::span<const std::int64_t> counts, std::int32_t rank,
                           std::vector<std::byte>& incoming)
    : type_(type), own_count_(counts[static_cast<std::size_t>(rank)]) {
  const std::size_t element = element_size(type);
  const std::size_t own_bytes = static_cast<std::size_t>(own_count_) * element;
  incoming.resize(counts.size() * own_bytes);
  const auto* const from = static_cast<const std::byte*>(send);
  for (std::size_t r = 0; r < counts.size(); ++r) {
    outgoing.emplace_back(from + bytes, static_cast<std::size_t>(counts[r]) * element);
    bytes += outgoing.back().size();
    arriving.emplace_back(incoming.data() + r * own_bytes, own_bytes);
  }
}

void ScatteredSum::sum_into(void* result) const {
  std::vector<const void*> operands;
  for (const std::span<std::byte> block : arriving) operands.push_back(block.data());
  TreeReduction::in_rank_order(static_cast<std::int32_t>(arriving.size()))
      .sum(type_, operands, result, own_count_, Store::kCache);
}

}  // namespace convoy::distributed
