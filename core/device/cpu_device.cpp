#include "core/device/cpu_device.h"

#include <sys/mman.h>

#include <bit>
#include <cstdlib>
#include <cstring>

#include "core/base/error.h"

namespace convoy {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

// Sizes are rounded so that a step's tensors find the blocks of the step before: to 1/8 of the power of two below.
std::size_t rounded(std::size_t bytes) {
  if (bytes <= 1024) return (bytes + Device::kAlignment) / Device::kAlignment * Device::kAlignment;
  const std::size_t unit = std::bit_floor(bytes) / 8;
  return (bytes + unit - 1) / unit * unit;
}

void* request(std::size_t bytes) {
  const std::size_t alignment = bytes >= kHugePage ? kHugePage : Device::kAlignment;
  const std::size_t size = (bytes + alignment - 1) / alignment * alignment;
  void* data = std::aligned_alloc(alignment, size);
  if (data == nullptr) fail(ErrorCode::kUnavailable, "out of memory: {} bytes for a tensor", bytes);
  if (alignment == kHugePage) madvise(data, size, MADV_HUGEPAGE);  // fewer TLB misses; a refusal costs nothing
  return data;
}

}  // namespace

CpuDevice::CpuDevice(int threads) : threads_(threads) {
  if (threads < 1) fail(ErrorCode::kInvalidArgument, "a CPU device needs at least 1 thread, got {}", threads);
}

CpuDevice::~CpuDevice() {
  for (const auto& [size, blocks] : free_) {
    for (void* block : blocks) std::free(block);
  }
}

void* CpuDevice::allocate(std::size_t bytes) {
  const std::size_t size = rounded(bytes);
  const std::lock_guard lock(mutex_);
  std::vector<void*>& blocks = free_[size];
  if (blocks.empty()) {
    blocks.push_back(request(size));
    statistics_.bytes_held += size;
    ++statistics_.system_requests;
  }
  void* block = blocks.back();
  blocks.pop_back();
  statistics_.bytes_in_use += size;
  return block;
}

void CpuDevice::release(void* data, std::size_t bytes) noexcept {
  const std::size_t size = rounded(bytes);
  const std::lock_guard lock(mutex_);
  statistics_.bytes_in_use -= size;
  free_[size].push_back(data);
}

void CpuDevice::copy(void* to, const void* from, std::size_t bytes) { std::memcpy(to, from, bytes); }

CpuDevice::PoolStatistics CpuDevice::pool_statistics() const {
  const std::lock_guard lock(mutex_);
  return statistics_;
}

}  // namespace convoy
