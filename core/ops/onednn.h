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

// Lets `memory` stand for `data`, which oneDNN takes as mutable. Throws nothing, so that threads of a loop may call it;
// what cannot be set fails when it is used. Where the layout has padding, oneDNN writes zeros into it: what several
// threads read is set once, by one of them, before.
inline void point(const dnnl::memory& memory, const void* data) noexcept {
  dnnl_memory_set_data_handle(memory.get(), const_cast<void*>(data));
}

}  // namespace convoy
