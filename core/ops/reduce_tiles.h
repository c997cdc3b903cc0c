// Sums that are fed their input piece by piece, in the order of reduce.h's sum.
#pragma once

#include <cstdint>
#include <memory>

#include "core/graph/tile_reduction.h"

namespace convoy {

// Of [outer, extent, inner] over `extent`: floating dtypes, `to` the same as `from` or what that is computed in.
std::unique_ptr<TileReduction> sum_by_tiles(DType from, DType to, std::int64_t outer, std::int64_t extent,
                                            std::int64_t inner);

}  // namespace convoy
