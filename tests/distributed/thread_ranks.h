// Ranks that are threads of this process and exchange data straight from each other's memory; their communicators can
// be made to fail in the middle of a step.
#pragma once

#include <barrier>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "core/base/error.h"
#include "distributed/communicator.h"

namespace convoy::distributed::testing {

class ThreadCommunicator final : public Communicator {
 public:
  struct Shared {
    explicit Shared(std::int32_t size) : sends(static_cast<std::size_t>(size)), barrier(size) {}
    std::vector<std::vector<std::span<const std::byte>>> sends;  // [from][to]
    std::barrier<> barrier;
    std::int32_t calls_left = -1;  // collectives of each rank before they fail; -1: they do not
  };

  ThreadCommunicator(std::int32_t rank, std::int32_t size, Shared& shared)
      : Communicator(rank, size), shared_(shared), calls_left_(shared.calls_left) {}

  void all_to_all_v(std::span<const std::span<const std::byte>> send,
                    std::span<const std::span<std::byte>> receive) override {
    if (calls_left_ == 0) fail(ErrorCode::kPeerLost, "a peer is gone");
    if (calls_left_ > 0) --calls_left_;
    shared_.sends[static_cast<std::size_t>(rank())].assign(send.begin(), send.end());
    shared_.barrier.arrive_and_wait();
    for (std::size_t from = 0; from < receive.size(); ++from) {
      const std::span<const std::byte> block = shared_.sends[from][static_cast<std::size_t>(rank())];
      if (block.size() != receive[from].size()) fail(ErrorCode::kInternal, "blocks differ in size");
      if (!block.empty() && block.data() != receive[from].data())
        std::memcpy(receive[from].data(), block.data(), block.size());
    }
    shared_.barrier.arrive_and_wait();
  }
  void all_gather_v(std::span<const std::byte> send, std::span<const std::span<std::byte>> receive) override {
    const std::vector<std::span<const std::byte>> blocks(receive.size(), send);
    all_to_all_v(blocks, receive);
  }
  void reduce_scatter(ReduceType, const void*, void*, std::span<const std::int64_t>) override { unused(); }
  void all_reduce(ReduceType, void*, std::int64_t) override { unused(); }
  void broadcast(void*, std::size_t, std::int32_t) override { unused(); }
  void send(const void*, std::size_t, std::int32_t) override { unused(); }
  void receive(void*, std::size_t, std::int32_t) override { unused(); }
  void abort() noexcept override {}

 private:
  [[noreturn]] static void unused() { fail(ErrorCode::kInternal, "not a call of these tests"); }

  Shared& shared_;
  std::int32_t calls_left_;
};

// Runs `body` as `size` ranks. With calls_left >= 0 all of them lose a peer after so many collectives.
inline void run_threads(std::int32_t size, const std::function<void(Communicator&)>& body,
                        std::int32_t calls_left = -1) {
  ThreadCommunicator::Shared shared(size);
  shared.calls_left = calls_left;
  std::vector<std::jthread> threads;
  for (std::int32_t rank = 0; rank < size; ++rank) {
    threads.emplace_back([&, rank] {
      ThreadCommunicator communicator(rank, size, shared);
      body(communicator);
    });
  }
}

}  // namespace convoy::distributed::testing
