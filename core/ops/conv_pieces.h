// One pass of a convolution over a whole batch, cut into pieces that prepared oneDNN primitives work on.
//
// The size of a piece follows from the shapes, and threads share out whole pieces: no bit can depend on how oneDNN
// would divide the work itself (its weight gradients do: each thread sums some of the images).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/ops/conv_primitive.h"
#include "core/ops/conv_weights.h"

namespace convoy {

// Images of a piece: half a millisecond's work, and enough of it to make reading weights that are larger than the
// second-level cache worthwhile.
std::int64_t images_of_piece(const ConvProblem& problem);

// Images over which one piece sums its weight gradient: pieces are few enough for adding them up to cost little.
std::int64_t images_of_sum(const ConvProblem& problem);

// In what images lie in memory, and whether a primitive reads them there or widened to floats.
struct ConvImages {
  bool bf16 = false;
  bool widened = false;
};

// Only from the thread that runs the device's kernels.
class ConvPieces {
 public:
  // Pieces of `images` images.
  ConvPieces(CpuDevice& device, Scratch& scratch, ConvPass pass, const ConvProblem& problem, std::int64_t images,
             const ConvImages& in, bool bias = false);

  // x and y as the pass reads and writes them; what it does not touch is null. Weights are blocked.
  struct Operands {
    const void* x = nullptr;
    const void* weights = nullptr;
    const float* bias = nullptr;
    const void* y = nullptr;
    std::size_t weights_step = 0;  // bytes between the weight gradients of two pieces
  };
  // Runs all pieces, on the device's threads.
  void run(const Operands& operands) const;

  std::int64_t count() const { return count_; }
  // Of the weights in their blocked form.
  std::size_t weights_bytes() const { return primitive_->blocked().get_size(); }
  // Different for blocked forms that differ.
  std::int64_t layout() const { return layout_; }
  // Between the blocked form of the weights and the plain one.
  void reorder(const void* from, void* to) const;

 private:
  // Memory of a thread's own: the primitive's scratch, and a widened piece of x and of y.
  struct Room {
    std::byte* scratch;
    float* x;
    float* y;
  };
  std::size_t widened_bytes(std::int64_t image) const;
  dnnl_status_t run_piece(const Operands& operands, std::int64_t piece, int thread, const Room& room) const;

  CpuDevice& device_;
  ConvPass pass_;
  ConvProblem piece_;
  bool bf16_;
  bool widened_;
  std::int64_t count_;
  std::shared_ptr<ConvPrimitive> primitive_;
  std::int64_t layout_;
  std::byte* room_;                            // of all threads
  mutable std::vector<dnnl_status_t> status_;  // of each
};

}  // namespace convoy
