// Sums the partial sums of all ranks along the fixed tree, a slice of elements at a time: the core of every
// fixed-order reduction. Owned by the communicator that runs it; used by one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/base/tree.h"
#include "distributed/communicator.h"
#include "distributed/sum_kernel.h"

namespace convoy::distributed {

std::size_t element_size(ReduceType type);

// Elements [begin, end) of a reduction, owned by one rank.
struct ElementSlice {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t count() const { return end - begin; }
};
// The slice of `count` elements that `rank` of `size` owns. Slices begin at multiples of `granularity`, and of whole
// cache lines where they are longer than that.
ElementSlice slice_of(std::int64_t count, std::int64_t granularity, std::int32_t rank, std::int32_t size);

class TreeReduction {
 public:
  // Partial sum `index` of rank `rank` in a TreeLayout.
  struct Operand {
    std::int32_t rank = 0;
    std::int32_t index = 0;
  };

  // Throws Error(kInvalidArgument) unless the layout's nodes cover every leaf once.
  explicit TreeReduction(TreeLayout layout);
  // `operands` values added in rank order: ((0 + 1) + 2) + …
  static TreeReduction in_rank_order(std::int32_t operands);

  const TreeLayout& layout() const { return layout_; }
  // What the operands given to sum() must be, in this order.
  std::span<const Operand> operands() const { return operands_; }

  // out[i] = the sum of all operands[…][i] for i in [0, count). `out` may be one of the operands, but not overlap
  // them otherwise.
  void sum(ReduceType type, std::span<const void* const> operands, void* out, std::int64_t count, Store store);

 private:
  // One addition of vectors: places at or above 0 are operands, below it scratch buffer ~place.
  struct Step {
    std::int32_t left = 0;
    std::int32_t right = 0;
    std::int32_t to = 0;
  };

  struct alignas(64) CacheLine {
    std::byte bytes[64];
  };

  TreeReduction() = default;
  void compile(std::span<const TreeAdd> additions);
  template <typename T>
  void sum_elements(std::span<const void* const> operands, T* out, std::int64_t count, Store store);

  TreeLayout layout_;
  std::vector<Operand> operands_;
  std::vector<Step> steps_;         // all but the last one write scratch buffers; the last one writes the result
  std::vector<CacheLine> scratch_;  // chunk-sized buffers that stay in the cache
};

}  // namespace convoy::distributed
