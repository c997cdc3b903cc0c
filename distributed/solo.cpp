#include "distributed/solo.h"

#include <cstring>

#include "core/base/error.h"

namespace convoy::distributed {
namespace {

void copy_block(std::span<const std::byte> from, std::span<std::byte> to, const char* operation) {
  if (from.size() != to.size())
    fail(ErrorCode::kInvalidArgument, "{}: rank 0 sends {} bytes to itself and expects {}", operation, from.size(),
         to.size());
  if (!from.empty() && from.data() != to.data()) std::memcpy(to.data(), from.data(), from.size());
}

}  // namespace

void SoloCommunicator::check_alive() const {
  if (aborted_) fail(ErrorCode::kPeerLost, "the communicator was aborted");
}

void SoloCommunicator::all_to_all_v(std::span<const std::span<const std::byte>> send,
                                    std::span<const std::span<std::byte>> receive) {
  check_alive();
  copy_block(send[0], receive[0], "all_to_all_v");
}

void SoloCommunicator::all_gather_v(std::span<const std::byte> send, std::span<const std::span<std::byte>> receive) {
  check_alive();
  copy_block(send, receive[0], "all_gather_v");
}

void SoloCommunicator::reduce_scatter(ReduceType type, const void* send, void* receive,
                                      std::span<const std::int64_t> counts) {
  check_alive();
  const std::size_t bytes = static_cast<std::size_t>(counts[0]) * element_size(type);
  copy_block({static_cast<const std::byte*>(send), bytes}, {static_cast<std::byte*>(receive), bytes}, "reduce_scatter");
}

void SoloCommunicator::all_reduce(ReduceType, void*, std::int64_t) { check_alive(); }

void SoloCommunicator::broadcast(void*, std::size_t, std::int32_t root) {
  check_alive();
  if (root != 0) fail(ErrorCode::kInvalidArgument, "broadcast: no rank {} in a run of one", root);
}

void SoloCommunicator::send(const void*, std::size_t, std::int32_t to) {
  fail(ErrorCode::kInvalidArgument, "send: no rank {} beside this one in a run of one", to);
}

void SoloCommunicator::receive(void*, std::size_t, std::int32_t from) {
  fail(ErrorCode::kInvalidArgument, "receive: no rank {} beside this one in a run of one", from);
}

void SoloCommunicator::tree_all_reduce(ReduceType type, const TreeLayout& layout, std::span<const void* const> partials,
                                       void* result, std::int64_t count, std::int64_t) {
  check_alive();
  check_tree_layout(layout, partials.size());
  if (!reduction_ || !(reduction_->layout() == layout)) reduction_.emplace(layout);
  reduction_->sum(type, partials, result, count, Store::kCache);
}

}  // namespace convoy::distributed
