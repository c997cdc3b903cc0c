// Several elementwise operators that go over memory once.
//
// They run tile by tile, through scratch memory that stays in the first-level cache: each tile by the very kernels that
// the operators run on their own, with values between them stored, and so rounded, as they would be. So the bits are
// those of one operator after the other.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/graph/op.h"
#include "core/graph/tile_reduction.h"

namespace convoy {

// An operator with the tiled trait. An operand below the number of the program's inputs is that input, others are
// results of earlier steps, counted on from there.
struct FusedStep {
  OpPtr op;
  std::vector<std::int32_t> operands;
};

class FusedProgram {
 public:
  static constexpr std::size_t kMaxInputs = 24;
  static constexpr std::size_t kMaxSteps = 24;
  static constexpr std::size_t kScratchBytes = 96 * 1024;  // that a thread works in

  // Outputs are steps, in their order. All steps have results of one shape, which the inputs broadcast to.
  FusedProgram(Specs inputs, std::vector<FusedStep> steps, std::vector<std::int32_t> outputs);

  const Shape& shape() const { return results_[0].shape; }
  Specs infer(std::span<const Spec> in) const;  // throws where these are not the inputs that it was made for
  bool is_random() const;
  double flops() const;
  std::string text() const;  // "#2 = add() #0 #1; #3 = gelu() #2 -> #3"

  // The memory of a call: what the inputs are, for all threads.
  class Operands;
  // Elements [first, first + count), at most operands.tile() of them, `first` a multiple of kTileUnit; stored where
  // `outputs` have element `origin`. `scratch`: kScratchBytes.
  void run_tile(const Operands& operands, const StepKey& key, std::span<std::byte* const> outputs, std::int64_t origin,
                std::int64_t first, std::int64_t count, std::byte* scratch) const;

 private:
  Specs inputs_;
  std::vector<FusedStep> steps_;
  std::vector<std::int32_t> outputs_;
  Specs results_;                   // of each step
  std::vector<std::int32_t> slot_;  // where each step's tile lies in scratch memory, or -1: in an output
  std::vector<std::int32_t> output_of_;
  std::int32_t slots_ = 0;
  std::size_t widest_ = 1;  // bytes of an element
};

class FusedProgram::Operands {
 public:
  // The tensors must outlive this.
  Operands(const FusedProgram& program, std::span<const Tensor> inputs);
  std::int64_t tile() const { return tile_; }  // elements that scratch memory has room for

 private:
  friend class FusedProgram;
  // Dimensions that step evenly are merged.
  struct Source {
    const std::byte* data = nullptr;
    DType dtype = DType::kF32;
    Shape shape, strides;
    std::int32_t slot = 0;  // for tiles that do not lie in one piece

    Source() = default;
    Source(const Tensor& tensor, const Shape& whole);
    bool in_one_piece() const { return shape.rank() == 1 && (strides[0] == 0 || strides[0] == 1); }
    // Elements [first, first + count): where they lie if that is possible, otherwise copied to `scratch`.
    TileOperand tile(std::int64_t first, std::int64_t count, std::byte* scratch) const;

   private:
    const std::byte* row(std::int64_t index) const;
    template <typename Bits>
    void gather(std::int64_t first, std::int64_t count, std::byte* scratch) const;
  };
  std::array<Source, kMaxInputs> sources_;
  std::int64_t tile_ = 0;
  std::size_t slot_bytes_ = 0;
};

// Tiles of the only output, for a reduction.
class FusedTiles final : public TileSource {
 public:
  FusedTiles(const FusedProgram& program, const FusedProgram::Operands& operands, DType dtype, const StepKey& key)
      : program_(program), operands_(operands), dtype_(dtype), key_(key) {}
  const void* read(std::int64_t first, std::int64_t count) override;

 private:
  const FusedProgram& program_;
  const FusedProgram::Operands& operands_;
  DType dtype_;
  const StepKey& key_;
  alignas(Device::kAlignment) std::byte scratch_[FusedProgram::kScratchBytes];
  alignas(Device::kAlignment) std::byte tile_[(TileReduction::kMostTile + kTileUnit) * sizeof(double)];
};

}  // namespace convoy
