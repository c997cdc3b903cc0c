// A prepared oneDNN convolution: one pass over a piece of a batch, for one thread at a time.
//
// Made for one thread and a fixed number of images, it has one order of summation; whoever runs several of them shares
// out pieces, never the inside of one. Images are nhwc, weights in the blocked form that oneDNN asks for; biases and
// weight gradients are f32 whatever the images are.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <dnnl.hpp>
#include <vector>

#include "core/ops/conv_kernels.h"
#include "core/ops/onednn.h"

namespace convoy {

enum class ConvPass : std::uint8_t { kForward, kBackwardData, kBackwardWeights };

struct ConvPiece {
  ConvPass pass = ConvPass::kForward;
  bool bias = false;
  bool bf16 = false;    // images, and weights where they are read
  ConvProblem problem;  // n: images of the piece

  bool operator==(const ConvPiece&) const = default;
};

class ConvPrimitive {
 public:
  // Up to `threads` threads may run it at once. Throws dnnl::error.
  ConvPrimitive(const dnnl::engine& engine, const ConvPiece& piece, int threads);

  dnnl::memory::desc blocked() const { return blocked_.get_desc(); }  // the weights' form
  std::size_t scratch_bytes() const { return scratch_bytes_; }

  // Between the blocked form and f32 [O, C/groups, kh, kw]: into it for the first two passes, out of it for weight
  // gradients. On as many threads as OpenMP gives.
  void reorder(const void* from, void* to);

  // The blocked weights that the first two passes read, on whichever thread: before threads run.
  void read_weights(const void* weights) { point(blocked_, weights); }

  // On the calling thread, as number `thread` of those that run it now. What the pass computes is written, the rest
  // read: `weights`, blocked, for weight gradients alone, `bias` only where the piece has one. oneDNN's verdict.
  dnnl_status_t run(int thread, const void* x, const void* weights, const float* bias, const void* y,
                    std::byte* scratch);

 private:
  struct Arguments {
    dnnl::memory x, weights, bias, y, scratch;
    dnnl::stream stream;
    std::array<dnnl_exec_arg_t, 5> list;
  };

  dnnl::primitive primitive_;
  int arguments_used_;
  std::size_t scratch_bytes_ = 0;
  std::vector<Arguments> threads_;
  dnnl::memory plain_, blocked_;
  bool weights_read_;
  dnnl::reorder reorder_;
  dnnl::stream stream_;
};

}  // namespace convoy
