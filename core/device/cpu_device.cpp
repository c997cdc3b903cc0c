#include "core/device/cpu_device.h"

#include <cstring>

#include "core/base/error.h"

namespace convoy {

namespace {

bool has_bf16_instructions() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16") != 0;
#else
  return false;
#endif
}

}  // namespace

CpuDevice::CpuDevice(int threads) : threads_(threads), native_bf16_(has_bf16_instructions()) {
  if (threads < 1) fail(ErrorCode::kInvalidArgument, "a CPU device needs at least 1 thread, got {}", threads);
}

void CpuDevice::copy(void* to, const void* from, std::size_t bytes) { std::memcpy(to, from, bytes); }

}  // namespace convoy
