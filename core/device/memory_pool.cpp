#include "core/device/memory_pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>

#include "core/base/error.h"
#include "core/device/device.h"

namespace convoy {
namespace {

constexpr std::size_t kLargestSmall = std::size_t{32} << 10;
constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kRegion = std::size_t{4} << 30;  // of addresses; memory is taken as it is used

std::size_t padded(std::size_t bytes, std::size_t unit) {
  return std::max<std::size_t>(1, (bytes + unit - 1) / unit) * unit;
}

// Small sizes differ by an eighth or so, that their blocks may be used again.
std::size_t padded(std::size_t bytes) {
  return padded(bytes, bytes <= 1024 ? Device::kAlignment : bytes <= kLargestSmall ? 1024 : 4096);
}

std::byte* map(std::size_t bytes) {
  void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return data == MAP_FAILED ? nullptr : static_cast<std::byte*>(data);
}

[[noreturn]] void refuse(std::size_t bytes) {
  fail(ErrorCode::kUnavailable, "out of memory: {} bytes for a tensor", bytes);
}

}  // namespace

MemoryPool::~MemoryPool() {
  for (const auto& [size, blocks] : small_) {
    for (void* block : blocks) std::free(block);
  }
  for (const Region& region : regions_) munmap(region.begin, region.bytes);
}

void* MemoryPool::allocate(std::size_t bytes) {
  if (bytes > ~std::size_t{0} / 2) refuse(bytes);
  const std::size_t size = padded(bytes);
  const std::lock_guard lock(mutex_);
  void* const data = size <= kLargestSmall ? allocate_small(size) : allocate_range(size);
  if (data == nullptr) refuse(bytes);
  statistics_.bytes_in_use += size;
  return data;
}

void* MemoryPool::allocate_small(std::size_t size) {
  std::vector<void*>& blocks = small_[size];
  if (blocks.empty()) {
    void* const block = std::aligned_alloc(Device::kAlignment, size);
    if (block == nullptr) return nullptr;
    statistics_.bytes_held += size;
    ++statistics_.system_requests;
    return block;
  }
  void* const block = blocks.back();
  blocks.pop_back();
  return block;
}

void* MemoryPool::allocate_range(std::size_t size) {
  auto found = free_by_size_.lower_bound({size, nullptr});
  if (found == free_by_size_.end()) {
    add_region(size);
    found = free_by_size_.lower_bound({size, nullptr});
    if (found == free_by_size_.end()) return nullptr;
  }
  const auto [free_size, begin] = *found;
  remove_free(begin, free_size);
  if (free_size > size) add_free(begin + size, free_size - size);
  for (Region& region : regions_) {
    if (begin < region.begin || begin >= region.begin + region.bytes || begin + size <= region.top) continue;
    statistics_.bytes_held += static_cast<std::size_t>(begin + size - region.top);
    ++statistics_.system_requests;
    region.top = begin + size;
  }
  return begin;
}

// The system may refuse more addresses than it has memory, or than a limit lets through.
void MemoryPool::add_region(std::size_t size) {
  std::size_t bytes = padded(size, kHugePage);
  std::byte* begin = nullptr;
  for (std::size_t wanted = std::max(bytes, kRegion); begin == nullptr && wanted > bytes; wanted /= 2) {
    begin = map(wanted);
    if (begin != nullptr) bytes = wanted;
  }
  if (begin == nullptr) begin = map(bytes);
  if (begin == nullptr) return;
  madvise(begin, bytes, MADV_HUGEPAGE);  // fewer TLB misses; a refusal costs nothing
  regions_.push_back({begin, bytes, begin});
  add_free(begin, bytes);
}

void MemoryPool::add_free(std::byte* begin, std::size_t size) {
  free_by_address_.emplace(begin, size);
  free_by_size_.emplace(size, begin);
}

void MemoryPool::remove_free(std::byte* begin, std::size_t size) {
  free_by_address_.erase(begin);
  free_by_size_.erase({size, begin});
}

void MemoryPool::release(void* data, std::size_t bytes) noexcept {
  std::size_t size = padded(bytes);
  const std::lock_guard lock(mutex_);
  statistics_.bytes_in_use -= size;
  if (size <= kLargestSmall) {
    small_[size].push_back(data);
    return;
  }
  auto* begin = static_cast<std::byte*>(data);
  const auto after = free_by_address_.find(begin + size);
  if (after != free_by_address_.end()) {
    const std::size_t more = after->second;
    remove_free(begin + size, more);
    size += more;
  }
  const auto next = free_by_address_.lower_bound(begin);
  if (next != free_by_address_.begin()) {
    const auto [before, before_size] = *std::prev(next);
    if (before + before_size == begin) {
      remove_free(before, before_size);
      begin = before;
      size += before_size;
    }
  }
  add_free(begin, size);
}

MemoryPool::Statistics MemoryPool::statistics() const {
  const std::lock_guard lock(mutex_);
  return statistics_;
}

}  // namespace convoy
