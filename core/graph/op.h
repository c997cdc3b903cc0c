// An operator: its shape rule, its gradient and its kernels, in one place.
//
// Ops are immutable values that know no tensors. core/ops holds every operator, one family a file; each registers
// itself (core/graph/registry.h), so that adding one touches one .cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/device/scratch.h"
#include "core/graph/prepared_call.h"
#include "core/graph/step_key.h"
#include "core/tensor/tensor.h"

namespace convoy {

class Op;
using OpPtr = std::shared_ptr<const Op>;

// What the graph may assume of an operator.
struct Traits {
  bool elementwise = false;  // output element i depends on the inputs' elements i only
  bool tiled = false;        // elementwise with one output, and any piece can run by itself (Op::run_tile_cpu)
  bool constant = false;     // the output depends on the inputs' specs alone
  bool view = false;         // the output may alias the input (Op::view)
  bool random = false;       // draws from the step's counter-based random numbers
  bool strided = false;      // kernels read inputs of any layout; otherwise they are handed contiguous ones
  bool update = false;       // writes its outputs over inputs of the same index (Op::prepare sees aliasing memory)
  bool differentiable = true;
  // Bit i: the kernel may write its only output over input i, where both have one spec. Elementwise ops may over any.
  std::uint32_t overwrites = 0;
  // Bit i: the gradient reads the elements of input (output) i. What it does not read is freed early.
  std::uint32_t gradient_reads_inputs = ~std::uint32_t{0};
  std::uint32_t gradient_reads_outputs = ~std::uint32_t{0};
};

// Walks an op's attributes: for equality, hashing, printing and export.
class AttributeVisitor {
 public:
  virtual ~AttributeVisitor() = default;
  virtual void visit(std::string_view name, std::int64_t value) = 0;
  virtual void visit(std::string_view name, double value) = 0;
  virtual void visit(std::string_view name, std::string_view value) = 0;
  virtual void visit(std::string_view name, std::span<const std::int64_t> value) = 0;
};

// Inputs and outputs as they were; gradients[i] is undefined where output i did not reach the loss. needed[i] says
// whether input i's gradient is wanted. Elements that the traits disclaim must not be read.
struct VjpArgs {
  std::span<const Tensor> inputs;
  std::span<const Tensor> outputs;
  std::span<const Tensor> gradients;
  const std::vector<bool>& needed;
};

// What an operator has to do at least: for rooflines, not for choosing kernels.
struct Cost {
  double flops = 0.0;  // additions and multiplications, each counted as one; other functions of an element as one
  double bytes = 0.0;  // read and written, every operand once

  Cost& operator+=(const Cost& other) {
    flops += other.flops;
    bytes += other.bytes;
    return *this;
  }
};

// For a kernel that is made ready now and run later, once or again and again: memory is known, elements are not.
// Outputs are contiguous and uninitialised (for updates: the state itself). Inputs are contiguous unless the op is
// strided. What the kernel takes of `scratch` is its own in every run.
struct PrepareArgs {
  std::span<const Tensor> inputs;
  std::span<const Tensor> outputs;
  Device& device;
  Scratch& scratch;
};

// How to make an output again by hardly more than reading: as the first output of an operator on the inputs and outputs
// of the one that made it.
struct Again {
  OpPtr op{};                            // null: the one that made it
  std::vector<std::int32_t> operands{};  // i is its input i, ~k its output k
};

// A piece of a tiled operator's call: elements [first, first + count) of the output in row-major order, and of the
// inputs the elements that belong to them.
struct TileOperand {
  const void* data = nullptr;
  std::int64_t step = 1;  // 0: one element stands for all
  DType dtype = DType::kF32;
};
struct TileArgs {
  std::span<const TileOperand> inputs;
  void* output = nullptr;  // may be an input whose step is 1
  DType dtype = DType::kF32;
  std::int64_t first = 0;  // a multiple of kTileUnit
  std::int64_t count = 0;
  const StepKey& key;
};
constexpr std::int64_t kTileUnit = 64;

class Op {
 public:
  virtual ~Op() = default;

  virtual std::string_view name() const = 0;
  virtual Traits traits() const { return {}; }
  virtual void attributes(AttributeVisitor&) const {}
  // Output specs; throws Error(kInvalidArgument) that names the op, the shapes and what was expected.
  virtual Specs infer(std::span<const Spec> inputs) const = 0;
  // Gradients with respect to the inputs, made of ops (through apply), undefined where there is none.
  virtual Tensors vjp(const VjpArgs&) const;
  // Ops with the view trait: where the output lies in the input's storage, or nothing when only a copy will do (the
  // input is then made contiguous first).
  virtual std::optional<Layout> view(const Layout& input) const;
  // For outputs that are better made again for the backward pass than kept, with the same bits.
  virtual std::optional<Again> again(std::size_t output, std::span<const Spec> inputs) const;
  // By default one operation an element, of the inputs or outputs, whichever are more; views cost nothing.
  virtual Cost cost(std::span<const Spec> inputs, std::span<const Spec> outputs) const;
  // The CPU's kernel. All that stays the same from run to run is looked up, derived from shapes and types, and taken
  // as memory here, and no element is touched; the call only runs. It outlives neither its tensors' memory nor
  // `scratch`, but may outlive the op. Not for views; throws Error(kInternal) where there is no kernel.
  virtual PreparedPtr prepare(const PrepareArgs& args) const;
  // Ops with the tiled trait: a piece of a call on the calling thread, with the bits of the whole call.
  virtual void run_tile_cpu(const TileArgs& args) const;
};

// The kernel of the tensors' device, ready to run.
PreparedPtr prepare(const OpPtr& op, const PrepareArgs& args);

// The bytes of the operands together: what cost() counts where all are read or written whole.
double bytes_of(std::span<const Spec> inputs, std::span<const Spec> outputs);

// Attributes as "axis=1, keep=true"; with the name, an op's whole identity.
std::string describe(const Op& op);

}  // namespace convoy
