// What random graphs are made of: operators drawn at random that suit a value.
#pragma once

#include <cstdint>
#include <functional>
#include <random>

#include "core/tensor/tensor.h"

namespace convoy {

class Draw {
 public:
  explicit Draw(std::uint64_t seed) : random_(seed) {}

  std::uint64_t word() { return random_(); }
  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  bool one_in(std::uint64_t n) { return below(n) == 0; }
  double real() { return static_cast<double>(below(3001)) / 1000.0 - 1.5; }
  template <typename T, std::size_t kCount>
  const T& one_of(const T (&values)[kCount]) {
    return values[below(kCount)];
  }

 private:
  std::mt19937_64 random_;
};

constexpr std::int64_t kMostRandomElements = 40000;  // that a move makes of fewer

// Each gives a value of at most kMostRandomElements elements, mostly neither very large nor NaN, or else a wrong result
// could not be told from a right one.
Tensor random_unary(Draw& draw, const Tensor& x);
// Of one dtype, of shapes that broadcast. With a gradient only where the tape is on.
Tensor random_binary(Draw& draw, const Tensor& x, const Tensor& y);
// All elements are the same number, whatever those of x are.
Tensor random_uniform(Draw& draw, const Tensor& x);
// Changes nothing, or looks much like something that does: x·1, x - 1, 0 - x, -(-x), casts there and back, ….
Tensor random_identity(Draw& draw, const Tensor& x);
Tensor random_reduction(Draw& draw, const Tensor& x);
// An operator that is handed its operand without gaps.
Tensor random_ordered(Draw& draw, const Tensor& x);
Tensor random_product(Draw& draw, const Tensor& x);

// A view that values of the shape have.
using Move = std::function<Tensor(const Tensor&)>;
Move random_view(Draw& draw, const Shape& shape);
// Two views of x that broadcast with each other, most of them of one shape.
struct TwoViews {
  Tensor a, b;
};
TwoViews random_views(Draw& draw, const Tensor& x);

}  // namespace convoy
