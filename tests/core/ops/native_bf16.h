// Whether kernels may be told to use bf16 natively (CpuDevice::set_native_bf16): oneDNN emulates the instructions on
// any processor with AVX-512, and knows no bf16 on others.
#pragma once

namespace convoy {

inline bool has_native_bf16() { return __builtin_cpu_supports("avx512bw") != 0; }

}  // namespace convoy
