// The tensors that cases of the operator table run on, and their elements as numbers.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tests/core/ops/op_table.h"

namespace convoy {

using Values = std::vector<double>;

// What all types hold exactly, so that all start from the same inputs: of a float, or of a bfloat16.
template <typename Narrow = float>
Values draw(const OpInput& input, std::uint32_t stream);
template <typename Narrow = float>
std::vector<Values> draw_all(const std::vector<OpInput>& inputs);

enum class Placing { kContiguous, kUnaligned, kGaps, kTransposed };

Tensor place(Device& device, DType dtype, const Shape& shape, const Values& values, Placing placing);
// dtype: the floating type under test.
Tensors place_all(Device& device, const std::vector<OpInput>& inputs, const std::vector<Values>& values, DType dtype,
                  Placing placing = Placing::kContiguous);

Values as_doubles(const Tensor& tensor);
Specs specs_of(std::span<const Tensor> tensors);
// Of a row's floating inputs.
std::vector<DType> dtypes_of(const OpRow& row);

}  // namespace convoy
