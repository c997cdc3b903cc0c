// Memory that kernels work in. A kernel takes what it needs while it is made ready and owns it during each of its runs;
// between them it may be somebody else's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/device/device.h"

namespace convoy {

class Scratch {
 public:
  virtual ~Scratch() = default;

  // Aligned to Device::kAlignment, not initialised. Not to be touched before the kernel runs.
  virtual void* take(std::size_t bytes) = 0;
  template <typename T>
  T* take(std::int64_t elements) {
    return static_cast<T*>(take(static_cast<std::size_t>(elements) * sizeof(T)));
  }
};

// From the device's pool, until this goes: for a kernel that is run at once.
class PooledScratch final : public Scratch {
 public:
  explicit PooledScratch(Device& device) : device_(device) {}
  ~PooledScratch() override {
    for (const auto& [data, bytes] : blocks_) device_.release(data, bytes);
  }
  PooledScratch(const PooledScratch&) = delete;
  PooledScratch& operator=(const PooledScratch&) = delete;

  using Scratch::take;
  void* take(std::size_t bytes) override {
    if (bytes == 0) return nullptr;
    blocks_.reserve(blocks_.size() + 1);
    void* const data = device_.allocate(bytes);
    blocks_.emplace_back(data, bytes);
    return data;
  }

 private:
  Device& device_;
  std::vector<std::pair<void*, std::size_t>> blocks_;
};

// One behind the other from a place that is known, or, to measure, is only going to be.
class BlockScratch final : public Scratch {
 public:
  explicit BlockScratch(std::byte* begin) : begin_(begin) {}
  // Where nothing is: to measure.
  static std::byte* nowhere() { return reinterpret_cast<std::byte*>(Device::kAlignment); }

  using Scratch::take;
  void* take(std::size_t bytes) override {
    std::byte* const data = begin_ + bytes_;
    bytes_ += (bytes + Device::kAlignment - 1) / Device::kAlignment * Device::kAlignment;
    return data;
  }
  std::size_t bytes() const { return bytes_; }  // taken so far

 private:
  std::byte* begin_;
  std::size_t bytes_ = 0;
};

}  // namespace convoy
