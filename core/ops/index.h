// Looking up rows of a table.
#pragma once

#include <cstdint>
#include <optional>

#include "core/tensor/tensor.h"

namespace convoy {

// table f32, f64 or bf16 [V, C], ids i32 [...] → [..., C] of the table's dtype or `dtype`: bf16 from an f32 table
// rounds what is looked up, and the table's gradient is f32 as it is. Throws Error(kInvalidArgument) for an id outside
// [0, V).
Tensor embedding(const Tensor& table, const Tensor& ids, std::optional<DType> dtype = {});

// The table's gradient: dy [..., C], ids [...] → [rows, C], f32 for bf16; each row adds its tokens' gradients in token
// order. Not differentiable again.
Tensor embedding_backward(const Tensor& ids, const Tensor& dy, std::int64_t rows);

}  // namespace convoy
