// A copy of elements from one place to another, made ready once and run again and again: how the two layouts lie to
// each other is found out when it is made.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/tensor/tensor.h"

namespace convoy {

class ElementCopy {
 public:
  // Same dtype and shape, any layouts; throws Error(kInvalidArgument) otherwise. The memory stays the caller's, and
  // has to be there when the copy runs.
  ElementCopy(const Tensor& from, const Tensor& to);
  // Copies. Whoever writes state so says it (Tensor::written()).
  void run() const;

 private:
  template <typename Word>
  void copy_words() const;

  Device* device_;
  const void* from_ = nullptr;
  void* to_ = nullptr;
  std::size_t word_;
  std::size_t bytes_;  // of all elements
  // Neighbouring dimensions that both sides step through evenly are one, and none has an extent of 1; at least one
  // dimension. Strides in elements.
  Shape shape_, from_strides_, to_strides_;
};

}  // namespace convoy
