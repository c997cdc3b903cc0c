// The communicator of a run of one: nothing is sent, sums are finished locally along the same tree.
#pragma once

#include <atomic>
#include <optional>

#include "distributed/communicator.h"
#include "distributed/tree_reduction.h"

namespace convoy::distributed {

class SoloCommunicator final : public Communicator {
 public:
  SoloCommunicator() : Communicator(0, 1) {}

  void all_to_all_v(std::span<const std::span<const std::byte>> send,
                    std::span<const std::span<std::byte>> receive) override;
  void all_gather_v(std::span<const std::byte> send, std::span<const std::span<std::byte>> receive) override;
  void reduce_scatter(ReduceType type, const void* send, void* receive, std::span<const std::int64_t> counts) override;
  void all_reduce(ReduceType type, void* data, std::int64_t count) override;
  void broadcast(void* data, std::size_t bytes, std::int32_t root) override;
  // There is nobody to send to or receive from: both throw Error(kInvalidArgument).
  void send(const void* data, std::size_t bytes, std::int32_t to) override;
  void receive(void* data, std::size_t bytes, std::int32_t from) override;
  void tree_all_reduce(ReduceType type, const TreeLayout& layout, std::span<const void* const> partials, void* result,
                       std::int64_t count, std::int64_t granularity) override;
  void abort() noexcept override { aborted_ = true; }

 private:
  void check_alive() const;

  std::atomic<bool> aborted_{false};
  std::optional<TreeReduction> reduction_;  // of the layout used last
};

}  // namespace convoy::distributed
