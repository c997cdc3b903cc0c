// Reductions that are fed their input piece by piece, so that what is reduced need not be stored.
#pragma once

#include <cstdint>
#include <memory>

#include "core/tensor/spec.h"

namespace convoy {

// Where a reduction's input comes from.
class TileSource {
 public:
  virtual ~TileSource() = default;
  // Elements [first, first + count) in row-major order, count at most TileReduction::kMostTile; valid until the next
  // call. Does not throw.
  virtual const void* read(std::int64_t first, std::int64_t count) = 0;
};

// A reduction of one input, with the operator's own order of summation. Its pieces may run on different threads,
// whatever their number.
class TileReduction {
 public:
  static constexpr std::int64_t kMostTile = 2048;  // elements

  virtual ~TileReduction() = default;
  virtual std::int64_t pieces() const = 0;
  // Doubles that the pieces leave for finish().
  virtual std::int64_t partials() const = 0;
  // Neither throws.
  virtual void run_piece(std::int64_t piece, TileSource& source, double* partials, void* output) const = 0;
  virtual void finish(const double* partials, void* output) const = 0;
};

// An operator with one input and one output that can be fed.
class TileReducible {
 public:
  virtual ~TileReducible() = default;
  // How, for such an input, with the bits of the operator; null: not this one.
  virtual std::unique_ptr<TileReduction> tile_reduction(const Spec& input) const = 0;
};

}  // namespace convoy
