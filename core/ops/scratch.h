// Loops over a device's threads whose body needs memory of its own to work in.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "core/device/cpu_device.h"
#include "core/device/parallel.h"
#include "core/tensor/tensor.h"

namespace convoy {

// Calls body(i, scratch) for i in [0, n) on the device's threads, each with `elements` of T that nobody else uses
// meanwhile, aligned to Device::kAlignment and not initialised. The body must not throw.
template <typename T, typename Body>
void parallel_with_scratch(CpuDevice& device, std::int64_t n, std::int64_t elements, const Body& body) {
  if (n <= 0) return;
  constexpr auto kUnit = static_cast<std::int64_t>(Device::kAlignment / sizeof(T));
  const std::int64_t stride = (elements + kUnit - 1) / kUnit * kUnit;
  const std::int64_t workers = std::min<std::int64_t>(device.threads(), n);
  const Storage memory(device, static_cast<std::size_t>(workers * stride) * sizeof(T));
  T* const scratch = static_cast<T*>(memory.data());
  parallel_for(device.threads(), workers, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t worker = first; worker < last; ++worker) {
      for (std::int64_t i = n * worker / workers; i < n * (worker + 1) / workers; ++i)
        body(i, scratch + worker * stride);
    }
  });
}

}  // namespace convoy
