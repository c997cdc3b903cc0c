// The host memory that tensors live in: kept when it is released, cut and joined again as sizes ask for.
//
// Small blocks are kept by size. Larger ones are ranges of a few big regions: a request takes the smallest free range
// that holds it, a released range joins its free neighbours. So a step's mixture of sizes takes little more than what
// is in use at its peak, and the next step finds all of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

namespace convoy {

class MemoryPool {
 public:
  MemoryPool() = default;
  // What is in use is lost.
  ~MemoryPool();
  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;

  // Aligned to Device::kAlignment, contents undefined. Throws Error(kUnavailable) with the size. Any thread.
  void* allocate(std::size_t bytes);
  // `bytes` as they were asked for.
  void release(void* data, std::size_t bytes) noexcept;

  struct Statistics {
    std::size_t bytes_in_use = 0;
    std::size_t bytes_held = 0;         // in use or kept for reuse
    std::uint64_t system_requests = 0;  // requests that what was held could not serve
  };
  Statistics statistics() const;

 private:
  // Memory from the system. Nobody has used what lies from `top` on, so it takes no room yet.
  struct Region {
    std::byte* begin;
    std::size_t bytes;
    std::byte* top;
  };

  void* allocate_small(std::size_t size);
  void* allocate_range(std::size_t size);
  void add_region(std::size_t size);
  void add_free(std::byte* begin, std::size_t size);
  void remove_free(std::byte* begin, std::size_t size);

  mutable std::mutex mutex_;
  std::unordered_map<std::size_t, std::vector<void*>> small_;  // free blocks, by size
  std::vector<Region> regions_;
  std::map<std::byte*, std::size_t> free_by_address_;
  std::set<std::pair<std::size_t, std::byte*>> free_by_size_;
  Statistics statistics_;
};

}  // namespace convoy
