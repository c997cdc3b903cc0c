// Collectives of the engine "gloo": messages over TCP between all pairs of workers, and sums along the fixed tree here.
//
// A call lays out what goes to and comes from each peer, sends from where the data lies and receives to where it
// belongs (distributed/tcp/tcp_links.h). The thread that calls does all of it: there is no other one.
#pragma once

#include <optional>
#include <vector>

#include "core/base/ballot.h"
#include "distributed/communicator.h"
#include "distributed/operation.h"
#include "distributed/tcp/tcp_links.h"
#include "distributed/tcp/tcp_rendezvous.h"
#include "distributed/tcp/tcp_tree.h"
#include "distributed/tree_reduction.h"

namespace convoy::distributed {

class TcpCommunicator final : public Communicator {
 public:
  // Of peers that were met.
  TcpCommunicator(const TcpMeeting& meeting, std::vector<TcpPeer> peers);

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
  // Partial sums are sent from where they lie, piece by piece: while one is summed, others are under way.
  void tree_all_reduce(ReduceType type, const TreeLayout& layout, std::span<const void* const> partials, void* result,
                       std::int64_t count, std::int64_t granularity) override;
  void abort() noexcept override { links_.abort("this worker aborted"); }

 private:
  void enter(Operation operation, std::uint64_t check = 0, std::uint32_t detail = 0);
  // What goes to and comes from a peer in this call; the parts follow in the lane's queues.
  void promise(TcpLane& lane, std::size_t bytes);
  void expect(TcpLane& lane, std::size_t bytes);
  // Runs the links and checks that the peers promised what was expected.
  template <typename Advance>
  void run(Advance&& advance);
  void run();
  void check_frames();

  void exchange(std::span<const std::span<const std::byte>> send, std::span<const std::span<std::byte>> receive);
  void tree(Operation operation, ReduceType type, TreeReduction& reduction, std::span<const void* const> partials,
            void* result, std::int64_t count, std::int64_t granularity);
  TcpLane& lane_of(std::int32_t rank);
  template <typename... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args);

  const Ballot ballot_;
  TcpLinks links_;
  Operation operation_{};                   // under way
  TcpFrame frame_;                          // of it, for every peer
  std::size_t unchecked_ = 0;               // frames that were not looked at yet
  TreeReduction rank_tree_;                 // one leaf a rank, for all_reduce
  std::optional<TreeReduction> reduction_;  // of the layout used last
  TcpTree tree_;
  std::vector<std::byte> incoming_;  // reused by reduce_scatter
};

}  // namespace convoy::distributed
