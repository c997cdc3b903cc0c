#include "core/device/fake/fake_memory.h"

#include <cstring>
#include <new>

#include "core/device/device.h"

namespace convoy {
namespace {

constexpr std::align_val_t kAlignment{Device::kAlignment};

}  // namespace

FakeMemory::~FakeMemory() {
  for (const auto& [data, block] : blocks_) ::operator delete(data, kAlignment);
}

void* FakeMemory::allocate(std::size_t bytes) {
  auto* const data = static_cast<std::byte*>(::operator new(bytes == 0 ? 1 : bytes, kAlignment));
  blocks_[data] = {.number = ++last_, .bytes = bytes};
  poison(data);
  return data;
}

FakeMemory::Block* FakeMemory::find(const void* data) {
  const auto block = blocks_.find(static_cast<std::byte*>(const_cast<void*>(data)));
  return block == blocks_.end() ? nullptr : &block->second;
}

const FakeMemory::Block* FakeMemory::holding(const MemoryRange& range) const {
  auto* const begin = static_cast<std::byte*>(const_cast<void*>(range.data));
  auto after = blocks_.upper_bound(begin);
  if (after == blocks_.begin()) return nullptr;
  const auto& [data, block] = *--after;
  return begin + range.bytes <= data + block.bytes ? &block : nullptr;
}

void FakeMemory::poison(const void* data) { std::memset(const_cast<void*>(data), 0xFF, find(data)->bytes); }

std::size_t FakeMemory::bytes_in_use() const {
  std::size_t bytes = 0;
  for (const auto& [data, block] : blocks_) bytes += block.released ? 0 : block.bytes;
  return bytes;
}

}  // namespace convoy
