// What the communicators of several engines have in common beside their interface.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "distributed/communicator.h"

namespace convoy::distributed {

// A call, as ranks tell each other that they are in it.
enum class Operation : std::uint32_t {
  kAllToAll = 1,
  kAllGather,
  kReduceScatter,
  kAllReduce,
  kBroadcast,
  kSend,
  kReceive,
  kTreeAllReduce,
  // Later rounds of a call.
  kMorePieces,
  kAllRead,
};
std::string_view operation_name(Operation operation);

// The layout of a sum over ranks, along the tree.
TreeLayout one_leaf_a_rank(std::int32_t ranks);

// A reduce_scatter as an all_to_all_v, after which this rank sums what is its own.
struct ScatteredSum {
  // counts[r] for each rank r. `incoming` is made as large as is needed, and must live as long as this.
  ScatteredSum(ReduceType type, const void* send, std::span<const std::int64_t> counts, std::int32_t rank,
               std::vector<std::byte>& incoming);

  std::vector<std::span<const std::byte>> outgoing;
  std::vector<std::span<std::byte>> arriving;
  std::size_t bytes = 0;  // of everything that is sent
  void sum_into(void* result) const;

 private:
  const ReduceType type_;
  const std::int64_t own_count_;
};

}  // namespace convoy::distributed
