#include "core/device/cpu_device.h"

#include <cstring>

#include "core/base/error.h"

namespace convoy {

CpuDevice::CpuDevice(int threads) : threads_(threads) {
  if (threads < 1) fail(ErrorCode::kInvalidArgument, "a CPU device needs at least 1 thread, got {}", threads);
}

void CpuDevice::copy(void* to, const void* from, std::size_t bytes) { std::memcpy(to, from, bytes); }

}  // namespace convoy
