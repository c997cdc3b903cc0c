// Extents of a tensor, outermost first, and what follows from them.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

namespace convoy {

// A short vector of extents or strides; no allocation. At most kMaxRank entries.
class Shape {
 public:
  static constexpr int kMaxRank = 6;

  Shape() = default;  // rank 0: a scalar
  Shape(std::initializer_list<std::int64_t> extents) : Shape(std::span(extents.begin(), extents.size())) {}
  explicit Shape(std::span<const std::int64_t> extents);  // throws Error(kInvalidArgument) beyond kMaxRank

  int rank() const { return rank_; }
  // Negative indices count from the end.
  std::int64_t operator[](int i) const { return extents_[static_cast<std::size_t>(i < 0 ? i + rank_ : i)]; }
  std::int64_t& operator[](int i) { return extents_[static_cast<std::size_t>(i < 0 ? i + rank_ : i)]; }
  std::int64_t elements() const;
  const std::int64_t* begin() const { return extents_.data(); }
  const std::int64_t* end() const { return extents_.data() + rank_; }
  void append(std::int64_t extent);
  std::string to_string() const;  // "[2, 3]"

  friend bool operator==(const Shape& a, const Shape& b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

 private:
  std::array<std::int64_t, kMaxRank> extents_{};
  int rank_ = 0;
};

// The shape two operands broadcast to under NumPy's rules; throws Error(kInvalidArgument) naming both.
Shape broadcast(const Shape& a, const Shape& b);

// Which elements of a storage a tensor sees: element (i, j, …) lies at offset + i·strides[0] + j·strides[1] + ….
struct Layout {
  Shape shape;
  Shape strides;  // in elements; 0 along broadcast dimensions
  std::int64_t offset = 0;

  static Layout contiguous(const Shape& shape);
  // Row-major without gaps, whatever the offset.
  bool is_contiguous() const;
};

}  // namespace convoy
