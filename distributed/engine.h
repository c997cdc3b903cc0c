// A way for workers to exchange data. The engine holds what outlives a membership epoch (the memory gradients live in,
// the place where peers are met); for each epoch it connects a fresh Communicator.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "cluster/messages.h"
#include "distributed/communicator.h"

namespace convoy::distributed {

// One membership, as a worker of it sees it.
struct EpochView {
  Ballot ballot;
  std::int32_t rank = 0;
  std::vector<cluster::Member> members;  // in rank order
  std::string token;
  std::chrono::milliseconds timeout{};       // for meeting the peers
  std::chrono::milliseconds silence{5'000};  // of a peer's host, after which it cannot be reached
  std::stop_token stop;                      // gives up meeting them
  // Told of a peer as soon as nothing gets through to it any more, by the thread that communicates: a moment before
  // that fails, in which the other peers may notice the same.
  std::function<void(const Uuid&)> on_unreachable{};
};

class Engine {
 public:
  virtual ~Engine() = default;

  virtual std::string name() const = 0;  // "local", "gloo", "mpi", "solo"
  // What peers can read without a copy, of the size asked for; lives as long as the engine. It is address space: a part
  // becomes zeroed memory when it is committed. commit() throws Error(kUnavailable) where there is not enough.
  virtual std::span<std::byte> arena() = 0;
  virtual void commit(std::size_t offset, std::size_t bytes) = 0;
  // Where peers meet this worker, as the engine understands it: an abstract Unix socket ("local"), address and port
  // ("gloo"); empty where nobody does.
  virtual std::string meeting_place() const = 0;
  // Throws PeerLost (distributed/peer_lost.h) naming the peer that did not come, Error(kInterrupted) when asked to
  // stop.
  virtual std::unique_ptr<Communicator> connect(const EpochView& epoch) = 0;
};

class MpiSession;

struct EngineOptions {
  std::string kind;    // "local", "gloo" or "mpi"; "auto" is "gloo" where the workers span hosts, else "local"
  bool alone = false;  // a run of one, which nobody can join
  bool spans_hosts = false;
  std::string scheduler;  // its address ("tcp://10.0.0.1:4321"): peers are where it is; empty: on this host
  Uuid self;
  std::size_t arena_bytes = 0;
  MpiSession* mpi = nullptr;  // what "mpi" needs; outlives the engine
};
std::unique_ptr<Engine> make_engine(const EngineOptions& options);

}  // namespace convoy::distributed
