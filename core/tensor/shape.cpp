#include "core/tensor/shape.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/base/error.h"

namespace convoy {

Shape::Shape(std::span<const std::int64_t> extents) {
  for (const std::int64_t extent : extents) append(extent);
}

std::int64_t Shape::elements() const {
  std::int64_t product = 1;
  for (const std::int64_t extent : *this) product *= extent;
  return product;
}

void Shape::append(std::int64_t extent) {
  if (rank_ == kMaxRank) fail(ErrorCode::kInvalidArgument, "a tensor has at most {} dimensions", kMaxRank);
  extents_[static_cast<std::size_t>(rank_++)] = extent;
}

std::string Shape::to_string() const { return fmt::format("[{}]", fmt::join(begin(), end(), ", ")); }

Shape broadcast(const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  Shape result;
  for (int i = -rank; i < 0; ++i) {
    const std::int64_t left = -i <= a.rank() ? a[i] : 1;
    const std::int64_t right = -i <= b.rank() ? b[i] : 1;
    if (left != right && left != 1 && right != 1)
      fail(ErrorCode::kInvalidArgument, "shapes {} and {} do not broadcast", a.to_string(), b.to_string());
    result.append(left == 1 ? right : left);
  }
  return result;
}

Layout Layout::contiguous(const Shape& shape) {
  Layout layout{shape, shape, 0};
  std::int64_t stride = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    layout.strides[i] = stride;
    stride *= shape[i];
  }
  return layout;
}

bool Layout::is_contiguous() const {
  if (shape.elements() == 0) return true;
  std::int64_t expected = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    if (shape[i] != 1 && strides[i] != expected) return false;
    expected *= shape[i];
  }
  return true;
}

}  // namespace convoy
