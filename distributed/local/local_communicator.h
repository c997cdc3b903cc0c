// The shared-memory engine: collectives among workers of one host (docs/architecture.md, shared memory).
//
// Workers pull: each writes only its own segment and reads the others'. A collective is a number of rounds in lock
// step. In a round every rank puts its data where peers can read it, announces it, and waits for the announcements of
// all others. A rank announces round k only when it has read what it wanted of round k - 1, so the two staging halves
// and the two announcements in use alternate without further signals; what is read straight from an arena is
// protected by one more, empty round, after which its owner may change it.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "core/base/ballot.h"
#include "distributed/abort_latch.h"
#include "distributed/communicator.h"
#include "distributed/local/futex.h"
#include "distributed/local/peer_monitor.h"
#include "distributed/local/rendezvous.h"
#include "distributed/local/segment.h"
#include "distributed/operation.h"
#include "distributed/tree_reduction.h"

namespace convoy::distributed {

struct LocalOptions {
  std::int32_t rank = 0;
  std::vector<LocalMember> members;  // in rank order, this worker among them; at most kMaxLocalRanks
  Ballot ballot;
  std::string token;  // of the run
  Segment& segment;   // outlives the communicator; used by one communicator at a time
  Rendezvous& rendezvous;
  std::chrono::milliseconds timeout{30'000};  // for all peers to arrive
  std::stop_token stop{};                     // gives up waiting for them
};

// Meets the peers and makes a communicator with them. Throws PeerLost naming who is missing.
std::unique_ptr<Communicator> make_local_communicator(LocalOptions options);

class LocalCommunicator final : public Communicator {
 public:
  explicit LocalCommunicator(LocalOptions& options);

  void all_to_all_v(std::span<const std::span<const std::byte>> send,
                    std::span<const std::span<std::byte>> receive) override;
  void all_gather_v(std::span<const std::byte> send, std::span<const std::span<std::byte>> receive) override;
  void reduce_scatter(ReduceType type, const void* send, void* receive, std::span<const std::int64_t> counts) override;
  // Element i is summed along the tree over ranks.
  void all_reduce(ReduceType type, void* data, std::int64_t count) override;
  void broadcast(void* data, std::size_t bytes, std::int32_t root) override;
  // Returns when the receiver has taken everything.
  void send(const void* data, std::size_t bytes, std::int32_t to) override;
  void receive(void* data, std::size_t bytes, std::int32_t from) override;
  // Partials that lie in the segments' arenas are summed where they lie.
  void tree_all_reduce(ReduceType type, const TreeLayout& layout, std::span<const void* const> partials, void* result,
                       std::int64_t count, std::int64_t granularity) override;
  void abort() noexcept override;

 private:
  struct Peer {
    std::int32_t rank = 0;
    PeerSegment segment;
    Greeting start;                 // its counters when the epoch began
    std::uint32_t pieces_sent = 0;  // to it, in this epoch
    std::uint32_t pieces_received = 0;
  };
  // What all ranks must agree on.
  struct Call {
    Operation operation;
    std::uint64_t check = 0;
    std::uint32_t detail = 0;
  };

  // A round: fill in what draft() returns, announce(), then heard_from() each peer.
  Announcement& draft(const Call& call);
  void announce();
  const Announcement& heard_from(const Peer& peer, const Call& call);
  std::span<std::byte> staging_half();  // of the round in the making

  void exchange(const Call& call, std::span<const std::span<const std::byte>> send,
                std::span<const std::span<std::byte>> receive);
  void all_have_read();
  // What all ranks, this one included, announced for a round, by rank.
  std::vector<const Announcement*> heard_from_all(const Call& call);
  // The operands that the announcements point to, `bytes` of each from `skip` on.
  std::vector<const void*> operands_of(const TreeReduction& reduction,
                                       std::span<const Announcement* const> announcements, std::size_t skip,
                                       std::size_t bytes) const;
  void tree_in_one_round(ReduceType type, TreeReduction& reduction, std::span<const void* const> partials, void* result,
                         std::int64_t count, const Call& call);
  // False if some rank's partials lie elsewhere; then nothing was done.
  bool tree_in_arenas(ReduceType type, TreeReduction& reduction, std::span<const void* const> partials, void* result,
                      std::int64_t count, std::int64_t granularity, const Call& call);
  void tree(Operation operation, ReduceType type, TreeReduction& reduction, std::span<const void* const> partials,
            void* result, std::int64_t count, std::int64_t granularity);

  void enter(Operation operation);
  void wait_until(const Word& word, std::uint32_t target);
  void wake(const Peer& peer, const Word& word);
  Peer& peer_of(std::int32_t rank);
  template <typename... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args);
  [[noreturn]] void fail_lost() const;

  const Ballot ballot_;
  Segment& segment_;
  const std::uint32_t start_sequence_;
  std::uint32_t rounds_ = 0;                // announced in this epoch
  Operation operation_{};                   // under way, for messages
  std::vector<Peer> peers_;                 // in the order in which they are read: those after this rank first
  TreeReduction rank_tree_;                 // one leaf a rank, for all_reduce
  std::optional<TreeReduction> reduction_;  // of the layout used last
  std::vector<std::byte> incoming_;         // reused by reduce_scatter
  const SleepMode sleep_mode_;
  bool spin_ = false;
  AbortLatch latch_;
  std::optional<PeerMonitor> monitor_;  // last: its thread uses the latch
};

}  // namespace convoy::distributed
