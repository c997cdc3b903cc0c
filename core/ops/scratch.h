// Loops over a device's threads whose body needs memory of its own to work in, and copies that kernels work on.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "core/device/cpu_device.h"
#include "core/device/parallel.h"
#include "core/device/scratch.h"
#include "core/tensor/element_copy.h"
#include "core/tensor/tensor.h"

namespace convoy {

// What a loop over n items on a number of threads shares out: `elements` of T for each worker.
template <typename T>
class WorkerScratch {
 public:
  WorkerScratch() = default;
  WorkerScratch(Scratch& scratch, int threads, std::int64_t n, std::int64_t elements)
      : threads_(threads),
        workers_(std::min<std::int64_t>(threads, n)),
        stride_((elements + kUnit - 1) / kUnit * kUnit),
        data_(workers_ > 0 ? scratch.take<T>(workers_ * stride_) : nullptr) {}

  // Calls body(i, scratch) for i in [0, n), n as it was given or less, on the threads, each with scratch that nobody
  // else uses meanwhile, aligned to Device::kAlignment and not initialised. The body must not throw.
  template <typename Body>
  void for_each(std::int64_t n, const Body& body) const {
    if (n <= 0) return;
    const std::int64_t workers = std::min(workers_, n);
    parallel_for(threads_, workers, 1, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t worker = first; worker < last; ++worker) {
        for (std::int64_t i = n * worker / workers; i < n * (worker + 1) / workers; ++i)
          body(i, data_ + worker * stride_);
      }
    });
  }

 private:
  static constexpr auto kUnit = static_cast<std::int64_t>(Device::kAlignment / sizeof(T));
  int threads_ = 1;
  std::int64_t workers_ = 0, stride_ = 0;
  T* data_ = nullptr;
};

// A tensor as a kernel takes it: itself, or a copy without gaps in scratch.
class Gapless {
 public:
  // To be run at the start of each run; small where there is nothing to copy.
  class Copy {
   public:
    void run() const {
      if (copy_ != nullptr) copy_->run();
    }

   private:
    friend class Gapless;
    std::unique_ptr<const ElementCopy> copy_;
  };

  Gapless(Scratch& scratch, const Tensor& from, bool as_it_is) : tensor_(from) {
    if (as_it_is) return;
    tensor_ = Tensor::borrow(from.spec(), scratch.take(from.spec().bytes()), nullptr);
    copy_.copy_ = std::make_unique<ElementCopy>(from, tensor_);
  }
  const Tensor& tensor() const { return tensor_; }
  Copy take_copy() { return std::move(copy_); }

 private:
  Tensor tensor_;
  Copy copy_;
};

}  // namespace convoy
