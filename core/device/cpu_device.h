// The host's cores: a memory pool and a number of threads.
#pragma once

#include <cstdint>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "core/device/device.h"

namespace convoy {

class CpuDevice final : public Device {
 public:
  // threads: how many threads a kernel may use, ≥ 1.
  explicit CpuDevice(int threads = 1);
  ~CpuDevice() override;

  std::string_view kind() const override { return "cpu"; }
  void* allocate(std::size_t bytes) override;
  void release(void* data, std::size_t bytes) noexcept override;
  void copy(void* to, const void* from, std::size_t bytes) override;
  void synchronize() override {}

  int threads() const { return threads_; }

  struct PoolStatistics {
    std::size_t bytes_in_use = 0;
    std::size_t bytes_held = 0;         // in use or kept for reuse
    std::uint64_t system_requests = 0;  // allocations the pool could not serve from what it held
  };
  PoolStatistics pool_statistics() const;

 private:
  int threads_;
  mutable std::mutex mutex_;
  std::unordered_map<std::size_t, std::vector<void*>> free_;  // by rounded size
  PoolStatistics statistics_;
};

}  // namespace convoy
