// A communicator's connections to its peers, and the loop that moves bytes over all of them at once. The communicator
// lays out what goes to and comes from each peer, in order, and runs the loop until all of it is through.
//
// Every peer has two connections: one for data, and one that is watched for the peer's end, so that a dead host, which
// says nothing, is told from one that is merely late: keepalive works on a connection where nothing waits to be taken.
//
// Who notices first that a peer is cut off tells its owner at once, and fails only when all whom the same cut concerns
// have had the time to notice it: those who are asked next would know of it only in part.
#pragma once

#include <poll.h>
#include <sys/uio.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/unique_fd.h"
#include "distributed/abort_latch.h"
#include "distributed/tcp/tcp_rendezvous.h"
#include "distributed/tcp/tcp_watch.h"

namespace convoy::distributed {

// What goes ahead of a call's data to one peer. Both sides know what to expect.
struct TcpFrame {
  std::uint32_t operation = 0;
  std::uint32_t detail = 0;  // of the operation; equal on both sides
  std::uint64_t check = 0;   // bytes of the whole operation, where both must give the same
  std::uint64_t bytes = 0;   // that follow
};

// One direction of a connection: memory that is sent from, or received into, in order.
class TcpQueue {
 public:
  void clear();
  void add(const void* data, std::size_t bytes);  // nothing for no bytes
  // How many of the parts may move now; all of them unless told otherwise.
  void hold_after(std::size_t parts) { allowed_ = parts; }
  std::size_t parts() const { return parts_.size(); }
  std::size_t moved() const { return moved_; }  // parts that are through
  bool done() const { return moved_ == parts_.size(); }
  bool may_move() const { return moved_ < parts_.size() && moved_ < allowed_; }

  enum class Result { kMoved, kLater, kClosed };
  Result send(int socket);
  Result receive(int socket);

 private:
  Result advance(std::ptrdiff_t bytes);

  std::vector<iovec> parts_;
  std::size_t moved_ = 0;
  std::size_t allowed_ = ~std::size_t{0};
  bool ready_ = true;  // as far as is known

  friend class TcpLinks;
};

struct TcpLane {
  std::int32_t rank = 0;
  Uuid uuid;
  std::string who;  // "rank 2 (pid 4242 on node7)"
  UniqueFd data;
  UniqueFd watch;
  TcpEnd end = TcpEnd::kNone;  // as far as it was heard
  TcpQueue out;
  TcpQueue in;
  TcpFrame sent;
  TcpFrame received;
  std::size_t awaited = 0;  // bytes that `received` must promise
  bool unchecked = false;   // whether `received` is still to be looked at
};

class TcpLinks {
 public:
  // Of this worker with its `peers`.
  TcpLinks(const TcpMeeting& meeting, std::vector<TcpPeer> peers);
  // Tells the peers that this worker leaves, unless it aborted.
  ~TcpLinks();
  TcpLinks(const TcpLinks&) = delete;
  TcpLinks& operator=(const TcpLinks&) = delete;

  // In an order that spreads the load: each rank begins with its successor.
  std::span<TcpLane> lanes() { return lanes_; }
  TcpLane* lane(std::int32_t rank);  // null for this worker's own
  void clear();                      // the lanes' queues

  // Runs until everything is through. After each move `advance()` may do what has become possible and allow more; it
  // says whether it did. Throws PeerLost with what happened to whom, and is of no use from then on.
  template <typename Advance>
  void run(Advance&& advance) {
    while (true) {
      bool moved = move();
      moved = advance() || moved;
      if (done()) return;
      if (!moved) wait();
    }
  }
  void run() {
    run([] { return false; });
  }

  // Throws PeerLost if it is of no use any more.
  void check() const;
  // Fails what runs here and on the peers. Any thread.
  void abort(std::string cause, std::vector<LostPeer> lost = {}) noexcept;

 private:
  bool move();  // false: nothing can move before something arrives
  bool done() const;
  void wait();
  void hear_ends();
  std::string all_with(TcpEnd end, std::string_view text) const;  // "rank 2 (…) is gone, rank 3 …"
  [[noreturn]] void fail_lost(const TcpLane& lane);

  using Clock = std::chrono::steady_clock;

  const std::function<void(const Uuid&)> on_unreachable_;
  const std::chrono::milliseconds spread_;  // of when a cut is noticed
  // Once nothing gets through to somebody: until then the others are looked at, and look.
  std::optional<Clock::time_point> give_up_at_;
  std::vector<TcpLane> lanes_;
  std::vector<TcpLane*> by_rank_;
  std::vector<pollfd> polled_;
  AbortLatch latch_;
  UniqueFd wake_;  // an eventfd that abort() writes
};

}  // namespace convoy::distributed
