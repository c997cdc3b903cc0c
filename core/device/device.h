// Where tensors live and kernels run. Made by main(), passed down, outlives every tensor on it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <typeindex>
#include <unordered_map>

namespace convoy {

class Device {
 public:
  Device() = default;
  virtual ~Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  virtual std::string_view kind() const = 0;  // "cpu"
  // Memory aligned to kAlignment, contents undefined. Throws Error(kUnavailable) with the size. Any thread.
  virtual void* allocate(std::size_t bytes) = 0;
  virtual void release(void* data, std::size_t bytes) noexcept = 0;
  // Copies between memory of this device, in stream order.
  virtual void copy(void* to, const void* from, std::size_t bytes) = 0;
  // Waits until all work given to the device is done.
  virtual void synchronize() = 0;

  // How many kernels were run here so far: moves while work goes on. Any thread.
  std::uint64_t kernels_run() const { return kernels_run_.load(std::memory_order_relaxed); }
  void count_kernel() { kernels_run_.fetch_add(1, std::memory_order_relaxed); }

  // A T that lives as long as the device, made on first use: where kernels keep what is dear to create (prepared
  // primitives). Only from the thread that runs kernels.
  template <typename T>
  T& local() {
    std::shared_ptr<void>& slot = locals_[std::type_index(typeid(T))];
    if (slot == nullptr) slot = std::make_shared<T>();
    return *static_cast<T*>(slot.get());
  }

  static constexpr std::size_t kAlignment = 64;

 private:
  std::atomic<std::uint64_t> kernels_run_{0};
  std::unordered_map<std::type_index, std::shared_ptr<void>> locals_;
};

}  // namespace convoy
