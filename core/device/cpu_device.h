// The host's cores: a memory pool and a number of threads.
#pragma once

#include <cstddef>

#include "core/device/device.h"
#include "core/device/memory_pool.h"

namespace convoy {

class CpuDevice final : public Device {
 public:
  // threads: how many threads a kernel may use, ≥ 1.
  explicit CpuDevice(int threads = 1);

  std::string_view kind() const override { return "cpu"; }
  void* allocate(std::size_t bytes) override { return pool_.allocate(bytes); }
  void release(void* data, std::size_t bytes) noexcept override { pool_.release(data, bytes); }
  void copy(void* to, const void* from, std::size_t bytes) override;
  void synchronize() override {}

  int threads() const { return threads_; }
  // Whether kernels of bf16 use instructions for bf16 (AVX512_BF16, AMX), through oneDNN, rather than widen it to fp32.
  // At first: whether the processor has them. Tests may say otherwise; oneDNN then emulates them, slowly.
  bool native_bf16() const { return native_bf16_; }
  void set_native_bf16(bool native) { native_bf16_ = native; }
  MemoryPool::Statistics pool_statistics() const { return pool_.statistics(); }

 private:
  int threads_;
  bool native_bf16_;
  MemoryPool pool_;
};

}  // namespace convoy
