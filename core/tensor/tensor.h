// A tensor: a cheap, immutable handle to a layout over shared storage.
//
// Copying a Tensor copies the handle. Storage is freed when the last handle goes. Kernels write a tensor's elements
// when they make it; afterwards only state (parameters, moments) is ever written again, by the update.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <source_location>
#include <span>
#include <vector>

#include "core/tensor/spec.h"

namespace convoy {

class DerivedForms;

// A block of device memory: the device's own, or foreign memory kept alive by `keep_alive`.
class Storage {
 public:
  Storage(Device& device, std::size_t bytes);
  Storage(Device& device, void* data, std::size_t bytes, std::shared_ptr<const void> keep_alive);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  // Not foreign memory, which others may read.
  bool is_own() const { return owned_; }

  // State is written again and again, and whoever writes it says so (written()). Only of state do kernels keep derived
  // forms: null for any other storage.
  void make_state();
  DerivedForms* derived_forms() const { return derived_.get(); }
  void written();

 private:
  Device& device_;
  void* data_;
  std::size_t bytes_;
  bool owned_;
  std::shared_ptr<const void> keep_alive_;
  std::unique_ptr<DerivedForms> derived_;
};

// Where a value was made: set once by the Recorder that made it, so that backward() finds its way.
struct Trace {
  std::uint64_t recorder = 0;  // 0: made outside any recording
  std::int32_t value = -1;
};

// A value of one capture's graph; captures count from 1.
struct Symbol {
  std::uint64_t capture = 0;
  std::int32_t value = -1;
};

class Tensor {
 public:
  Tensor() = default;  // no tensor: defined() is false

  // Uninitialised, contiguous. A tensor knows where it was made, for messages.
  static Tensor empty(const Spec& spec, std::source_location made = std::source_location::current());
  static Tensor zeros(const Spec& spec, std::source_location made = std::source_location::current());
  template <typename T>
  static Tensor of(Device& device, const Shape& shape, std::span<const T> values,
                   std::source_location made = std::source_location::current());
  // A view of foreign memory that stays valid while `keep_alive` does. `data` must be aligned to Device::kAlignment.
  static Tensor borrow(const Spec& spec, void* data, std::shared_ptr<const void> keep_alive,
                       std::source_location made = std::source_location::current());

  // Stands for a value of a graph that is being captured, and has no elements.
  static Tensor symbol(const Spec& spec, Symbol symbol);
  bool is_symbol() const { return body_->symbol.capture != 0; }
  const Symbol& symbol() const { return body_->symbol; }

  bool defined() const { return body_ != nullptr; }
  const Spec& spec() const { return body_->spec; }
  const Shape& shape() const { return body_->spec.shape; }
  DType dtype() const { return body_->spec.dtype; }
  Device& device() const { return *body_->spec.device; }
  std::int64_t elements() const { return body_->spec.elements(); }
  const Layout& layout() const { return body_->layout; }
  bool is_contiguous() const { return body_->layout.is_contiguous(); }
  const Trace& trace() const { return body_->trace; }
  // The line of code that made its elements; line 0 where no caller did, but an operator.
  const std::source_location& made() const { return body_->made; }
  // Equal for handles to the same tensor, different for two views of the same storage.
  const void* identity() const { return body_.get(); }

  // The first element. The caller gets the element type right; checked against dtype(). Throws Error(kInternal) for a
  // tensor whose storage was let go (without_storage), Error(kInvalidArgument) with the place for a symbol.
  template <typename T>
  T* data(std::source_location where = std::source_location::current()) const;
  void* raw(std::source_location where = std::source_location::current()) const;

  // Nobody else can see its elements: no other handle, no other view, no state. Whoever asks may write over them.
  bool is_sole_owner() const;

  // For state: see Storage. The whole storage counts, whatever the view.
  void make_state() const;
  void written() const;
  DerivedForms* derived_forms() const;

  // Another view of the same storage; not of a symbol, whose views are operators (core/ops/view.h).
  Tensor view(const Layout& layout, std::source_location where = std::source_location::current()) const;
  // The same tensor as seen by a recording.
  Tensor traced(Trace trace) const;
  // The same description without the memory: what a tape keeps of a value whose elements its gradient does not need.
  Tensor without_storage() const;

  // Copies the elements out, in row-major order, whatever the layout.
  template <typename T>
  std::vector<T> to_vector(std::source_location where = std::source_location::current()) const;
  // The only element of a one-element tensor, converted. Throws Error(kInvalidArgument) for any other.
  double item(std::source_location where = std::source_location::current()) const;

 private:
  struct Body {
    Spec spec;
    Layout layout;
    std::shared_ptr<Storage> storage;
    Trace trace;
    Symbol symbol{};
    std::source_location made{};
  };
  explicit Tensor(Body body) : body_(std::make_shared<const Body>(std::move(body))) {}

  std::shared_ptr<const Body> body_;
};

using Tensors = std::vector<Tensor>;

// Copies the elements of `from` into `to` (same dtype and shape, any layouts).
void copy_elements(const Tensor& from, const Tensor& to);

}  // namespace convoy
