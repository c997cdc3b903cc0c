// Collectives of the engine "mpi": messages between pairs of processes, and sums along the fixed tree here. No sum and
// no collective of MPI's own is used: their order of summation is theirs.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/ballot.h"
#include "distributed/communicator.h"
#include "distributed/mpi/session.h"
#include "distributed/tree_reduction.h"

namespace convoy::distributed {

class MpiCommunicator final : public Communicator {
 public:
  // Collective. Of all processes of `session`, which outlives it; throws Error(kPeerLost) unless all are in `ballot`.
  MpiCommunicator(MpiSession& session, Ballot ballot);

  void all_to_all_v(std::span<const std::span<const std::byte>> send,
                    std::span<const std::span<std::byte>> receive) override;
  void all_gather_v(std::span<const std::byte> send, std::span<const std::span<std::byte>> receive) override;
  void reduce_scatter(ReduceType type, const void* send, void* receive, std::span<const std::int64_t> counts) override;
  // Element i is summed along the tree over ranks.
  void all_reduce(ReduceType type, void* data, std::int64_t count) override;
  void broadcast(void* data, std::size_t bytes, std::int32_t root) override;
  // Returns when the data may be changed, which may be before the receiver has it.
  void send(const void* data, std::size_t bytes, std::int32_t to) override;
  void receive(void* data, std::size_t bytes, std::int32_t from) override;
  // Partial sums are sent from where they lie.
  void tree_all_reduce(ReduceType type, const TreeLayout& layout, std::span<const void* const> partials, void* result,
                       std::int64_t count, std::int64_t granularity) override;
  // MPI cannot go on after a failure: neither can the session, nor another communicator of it.
  void abort() noexcept override { session_.abort(); }

 private:
  // The transfers of one round, peers in an order that spreads the load: each rank begins with its successor.
  class Round;
  void exchange(Round& round, std::string_view operation);
  void copy_own(std::span<const std::byte> from, std::span<std::byte> to, std::string_view operation) const;
  void tree(std::string_view operation, ReduceType type, TreeReduction& reduction, const TreeLayout& layout,
            std::span<const void* const> partials, void* result, std::int64_t count, std::int64_t granularity);

  MpiSession& session_;
  const Ballot ballot_;
  const TreeLayout rank_layout_;  // one leaf a rank, for all_reduce
  TreeReduction rank_tree_;
  std::optional<TreeReduction> reduction_;  // of the layout used last
  std::unique_ptr<std::byte[]> incoming_;   // what is summed here; grows, and is not zeroed
  std::size_t incoming_bytes_ = 0;
};

}  // namespace convoy::distributed
