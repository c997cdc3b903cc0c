// What the kernels that call oneDNN share.
#pragma once

#include <omp.h>

#include <dnnl.hpp>

namespace convoy {

// OpenMP's default number of threads, on the calling thread, while this lives; oneDNN takes it for primitives made and
// run meanwhile.
class OmpThreads {
 public:
  explicit OmpThreads(int threads) : before_(omp_get_max_threads()) { set(threads); }
  ~OmpThreads() { set(before_); }
  OmpThreads(const OmpThreads&) = delete;
  OmpThreads& operator=(const OmpThreads&) = delete;

 private:
  static void set(int threads) {
    if (omp_get_max_threads() != threads) omp_set_num_threads(threads);
  }
  int before_;
};

// Whether the processor has instructions for bf16; oneDNN's bf16 kernels are many times slower than its f32 ones
// without.
inline bool has_bf16_instructions() {
  const auto isa = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
  return (isa & dnnl_cpu_isa_avx512_core_bf16) == dnnl_cpu_isa_avx512_core_bf16;
}

// oneDNN takes what it is given as mutable.
inline void point(const dnnl::memory& memory, const void* data) { memory.set_data_handle(const_cast<void*>(data)); }

}  // namespace convoy
