// One sum along the fixed tree, over TCP: what goes where in which order, and what can be summed when.
//
// Every rank owns a slice of the elements, and every slice is cut into the same number of pieces. A rank sends each
// peer piece after piece of that peer's slice of its partial sums; between them it sends the pieces of its own slice
// whose sum is finished, a fixed number of pieces behind, so that sums are made while later pieces are under way. Small
// sums are one piece that every rank gets and sums for itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "distributed/communicator.h"
#include "distributed/tcp/tcp_links.h"
#include "distributed/tree_reduction.h"

namespace convoy::distributed {

class TcpTree {
 public:
  struct Sum {
    ReduceType type{};
    TreeReduction* reduction = nullptr;
    std::span<const void* const> partials;
    void* result = nullptr;  // may be the only partial sum
    std::int64_t count = 0;
    std::int64_t granularity = 1;
    std::int32_t rank = 0;
    std::int32_t size = 1;
  };

  // Then lay_out() each lane, advance() whenever something arrived, and finish().
  void begin(const Sum& sum);
  std::size_t bytes_to(std::int32_t rank) const;
  std::size_t bytes_from(std::int32_t rank) const;
  void lay_out(TcpLane& lane);
  bool advance(std::span<TcpLane> lanes);
  void finish();

 private:
  // Where the parts of a piece begin and end in a lane's queues.
  struct Marks {
    std::vector<std::size_t> sum_ready;   // parts that must have come in before piece p can be summed
    std::vector<std::size_t> place_free;  // parts that may come in before the place of piece p is free again
    std::vector<std::size_t> summed;      // parts that may go out before piece p is summed
  };

  ElementSlice slice(std::int32_t rank) const;
  ElementSlice piece(std::int32_t rank, std::size_t index) const;
  std::size_t bytes(const ElementSlice& elements) const;
  std::size_t subtrees(std::int32_t rank) const { return sum_.reduction->layout().subtrees[rank_index(rank)].size(); }
  static std::size_t rank_index(std::int32_t rank) { return static_cast<std::size_t>(rank); }
  std::byte* place(std::size_t operand, std::size_t piece);
  std::byte* result_at(const ElementSlice& elements) const;
  void sum_piece(std::size_t index);

  Sum sum_;
  std::size_t element_ = 0;
  bool everywhere_ = false;
  std::int64_t piece_elements_ = 0;
  std::size_t pieces_ = 0;
  std::size_t summed_ = 0;
  std::vector<Marks> marks_;            // by rank
  std::vector<std::size_t> positions_;  // of the peers' operands in the sum: by rank, then index
  std::vector<std::size_t> first_of_;   // rank's first in positions_
  std::vector<const void*> operands_;   // of one piece
  // What is received to be summed: a few pieces of every operand, used again and again.
  std::unique_ptr<std::byte[]> scratch_;
  std::size_t scratch_bytes_ = 0;
};

}  // namespace convoy::distributed
