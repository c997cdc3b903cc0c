#include "distributed/communicator.h"

#include <cstring>

#include "core/base/error.h"
#include "distributed/tree_reduction.h"

namespace convoy::distributed {

void Communicator::tree_all_reduce(ReduceType type, const TreeLayout& layout, std::span<const void* const> partials,
                                   void* result, std::int64_t count, std::int64_t granularity) {
  check_tree_layout(layout, partials.size());
  TreeReduction reduction(layout);
  const auto ranks = static_cast<std::size_t>(size_);
  const std::size_t element = element_size(type);
  const auto slice_bytes = [&](std::size_t rank) {
    const ElementSlice slice = slice_of(count, granularity, static_cast<std::int32_t>(rank), size_);
    return std::pair(static_cast<std::size_t>(slice.begin) * element,
                     static_cast<std::size_t>(slice.count()) * element);
  };
  const auto [own_offset, own_bytes] = slice_bytes(static_cast<std::size_t>(rank_));

  // Slice r of every partial goes to rank r, one after the other.
  std::vector<std::byte> outgoing(partials.size() * static_cast<std::size_t>(count) * element);
  std::vector<std::span<const std::byte>> send(ranks);
  std::byte* pack = outgoing.data();
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    const auto [offset, bytes] = slice_bytes(rank);
    const std::byte* const begin = pack;
    for (const void* partial : partials) {
      if (bytes > 0) std::memcpy(pack, static_cast<const std::byte*>(partial) + offset, bytes);
      pack += bytes;
    }
    send[rank] = {begin, static_cast<std::size_t>(pack - begin)};
  }
  std::vector<std::byte> incoming(reduction.operands().size() * own_bytes);
  std::vector<std::span<std::byte>> receive(ranks);
  std::byte* place = incoming.data();
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    receive[rank] = {place, layout.subtrees[rank].size() * own_bytes};
    place += receive[rank].size();
  }
  all_to_all_v(send, receive);

  std::vector<const void*> operands;
  for (const TreeReduction::Operand& operand : reduction.operands())
    operands.push_back(receive[static_cast<std::size_t>(operand.rank)].data() +
                       static_cast<std::size_t>(operand.index) * own_bytes);
  std::byte* const total = static_cast<std::byte*>(result);
  reduction.sum(type, operands, total + own_offset, static_cast<std::int64_t>(own_bytes / element), Store::kCache);

  for (std::size_t rank = 0; rank < ranks; ++rank) {
    const auto [offset, bytes] = slice_bytes(rank);
    receive[rank] = {total + offset, bytes};
  }
  all_gather_v(receive[static_cast<std::size_t>(rank_)], receive);
}

void Communicator::check_tree_layout(const TreeLayout& layout, std::size_t partials) const {
  if (layout.subtrees.size() != static_cast<std::size_t>(size_))
    fail(ErrorCode::kInvalidArgument, "tree_all_reduce: a layout for {} ranks among {}", layout.subtrees.size(), size_);
  const std::size_t expected = layout.subtrees[static_cast<std::size_t>(rank_)].size();
  if (partials != expected)
    fail(ErrorCode::kInvalidArgument, "tree_all_reduce: rank {} gave {} partial sums, its layout has {}", rank_,
         partials, expected);
}

}  // namespace convoy::distributed
