// What gather, scatter_add and scatter share: which elements a tensor of indices along an axis picks, cut into strips
// that threads share out.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "core/base/error.h"
#include "core/tensor/shape.h"

namespace convoy {

// Tensors seen as [outer, along the axis, inner]: the one picked from (extent) and the index (count).
struct Places {
  std::int64_t outer = 1, extent, count, inner = 1;

  Places(const Shape& index, int axis, std::int64_t extent_of_axis) : extent(extent_of_axis), count(index[axis]) {
    for (int i = 0; i < axis; ++i) outer *= index[i];
    for (int i = axis + 1; i < index.rank(); ++i) inner *= index[i];
  }
};

// Columns side by side of one outer place, whose elements no other strip picks or adds to: where they begin in the
// tensor picked from and in the index. Along the axis their rows lie `inner` apart.
struct Strip {
  std::int64_t whole, index, width;
};

class Strips {
 public:
  explicit Strips(const Places& places) : places_(places), across_((places.inner + kWidth - 1) / kWidth) {}
  std::int64_t count() const { return places_.outer * across_; }
  std::int64_t elements() const { return places_.count * width(); }  // of the index, at most, in a strip
  std::int64_t width() const { return std::min(places_.inner, kWidth); }
  Strip operator[](std::int64_t i) const {
    const std::int64_t outer = i / across_;
    const std::int64_t first = i % across_ * kWidth;
    return {outer * places_.extent * places_.inner + first, outer * places_.count * places_.inner + first,
            std::min(kWidth, places_.inner - first)};
  }

 private:
  static constexpr std::int64_t kWidth = 256;
  Places places_;
  std::int64_t across_;
};

// Throws Error(kInvalidArgument) for an index outside [0, extent).
inline void check_indices(std::string_view op, std::span<const std::int32_t> index, std::int64_t extent) {
  std::uint32_t largest = 0;  // negative ones are larger than any extent
  for (const std::int32_t value : index) largest = std::max(largest, static_cast<std::uint32_t>(value));
  if (index.empty() || largest < extent) return;
  for (std::size_t i = 0; i < index.size(); ++i) {
    if (index[i] < 0 || index[i] >= extent)
      fail(ErrorCode::kInvalidArgument, "{}: index {} at position {}; expected one of {} along the axis", op, index[i],
           i, extent);
  }
}

// Rows that are picked whole have one index all along.
inline bool is_whole_row(const std::int32_t* index, std::int64_t width) {
  return std::memcmp(index, index + 1, static_cast<std::size_t>(width - 1) * sizeof(*index)) == 0;
}

}  // namespace convoy
