#include "tests/core/ops/op_inputs.h"

#include <cmath>

#include "core/base/philox.h"

namespace convoy {

template <typename Narrow>
Values draw(const OpInput& input, std::uint32_t stream) {
  Values values(static_cast<std::size_t>(input.shape.elements()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double u = uniform_float(philox({static_cast<std::uint32_t>(i), 0, 0, 0}, {stream, 7})[0]);
    values[i] = input.integer ? input.low + std::floor(u * (input.high - input.low + 1))
                              : static_cast<double>(static_cast<Narrow>(input.low + u * (input.high - input.low)));
  }
  return values;
}

template <typename Narrow>
std::vector<Values> draw_all(const std::vector<OpInput>& inputs) {
  std::vector<Values> values;
  for (const OpInput& input : inputs) values.push_back(draw<Narrow>(input, static_cast<std::uint32_t>(values.size())));
  return values;
}

template Values draw<float>(const OpInput&, std::uint32_t);
template Values draw<bfloat16>(const OpInput&, std::uint32_t);
template std::vector<Values> draw_all<float>(const std::vector<OpInput>&);
template std::vector<Values> draw_all<bfloat16>(const std::vector<OpInput>&);

Tensor place(Device& device, DType dtype, const Shape& shape, const Values& values, Placing placing) {
  const Tensor plain = Tensor::empty({dtype, shape, &device});
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (dtype == DType::kF32) plain.data<float>()[i] = static_cast<float>(values[i]);
    if (dtype == DType::kF64) plain.data<double>()[i] = values[i];
    if (dtype == DType::kBF16) plain.data<bfloat16>()[i] = static_cast<bfloat16>(values[i]);
    if (dtype == DType::kI32) plain.data<std::int32_t>()[i] = static_cast<std::int32_t>(values[i]);
  }
  if (placing == Placing::kContiguous) return plain;
  const std::int64_t room = 2 * shape.elements() + 1;
  const Tensor storage = Tensor::zeros({dtype, {room}, &device});
  Layout layout = Layout::contiguous(shape);
  if (placing == Placing::kUnaligned) layout.offset = 1;
  if (placing == Placing::kGaps) {
    for (int i = 0; i < shape.rank(); ++i) layout.strides[i] *= 2;
  }
  if (placing == Placing::kTransposed) {
    std::int64_t stride = 1;
    for (int i = 0; i < shape.rank(); ++i) {
      layout.strides[i] = stride;
      stride *= shape[i];
    }
  }
  const Tensor view = storage.view(layout);
  copy_elements(plain, view);
  return view;
}

Tensors place_all(Device& device, const std::vector<OpInput>& inputs, const std::vector<Values>& values, DType dtype,
                  Placing placing) {
  Tensors tensors;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const DType floating = inputs[i].master ? compute_dtype(dtype) : dtype;
    tensors.push_back(place(device, inputs[i].integer ? DType::kI32 : floating, inputs[i].shape, values[i], placing));
  }
  return tensors;
}

Values as_doubles(const Tensor& tensor) {
  Values values;
  const auto append = [&](const auto& elements) {
    for (const auto element : elements) values.push_back(static_cast<double>(element));
  };
  switch (tensor.dtype()) {
    case DType::kF32:
      append(tensor.to_vector<float>());
      break;
    case DType::kF64:
      append(tensor.to_vector<double>());
      break;
    case DType::kI32:
      append(tensor.to_vector<std::int32_t>());
      break;
    case DType::kI64:
      append(tensor.to_vector<std::int64_t>());
      break;
    case DType::kBF16:
      append(tensor.to_vector<bfloat16>());
      break;
  }
  return values;
}

Specs specs_of(std::span<const Tensor> tensors) {
  Specs specs;
  for (const Tensor& tensor : tensors) specs.push_back(tensor.spec());
  return specs;
}

std::vector<DType> dtypes_of(const OpRow& row) {
  std::vector<DType> dtypes = {DType::kF32, DType::kF64};
  if (row.takes_bf16) dtypes.push_back(DType::kBF16);
  return dtypes;
}

}  // namespace convoy
