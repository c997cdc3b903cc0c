#include "core/tensor/tensor.h"

#include <cstring>

#include "core/base/error.h"
#include "core/tensor/derived_forms.h"
#include "core/tensor/not_capturable.h"

namespace convoy {
namespace {

template <typename T>
void check_dtype(DType dtype) {
  if (dtype != DTypeOf<T>::value)
    fail(ErrorCode::kInternal, "elements of a {} tensor asked for as {}", name_of(dtype), name_of(DTypeOf<T>::value));
}

}  // namespace

Storage::Storage(Device& device, std::size_t bytes)
    : device_(device), data_(device.allocate(bytes)), bytes_(bytes), owned_(true) {}

Storage::Storage(Device& device, void* data, std::size_t bytes, std::shared_ptr<const void> keep_alive)
    : device_(device), data_(data), bytes_(bytes), owned_(false), keep_alive_(std::move(keep_alive)) {}

Storage::~Storage() {
  if (owned_) device_.release(data_, bytes_);
}

void Storage::make_state() {
  if (derived_ == nullptr) derived_ = std::make_unique<DerivedForms>(device_);
}

void Storage::written() {
  if (derived_ != nullptr) derived_->written();
}

Tensor Tensor::empty(const Spec& spec, std::source_location made) {
  if (spec.device == nullptr) fail(ErrorCode::kInternal, "a tensor needs a device");
  return Tensor(
      {spec, Layout::contiguous(spec.shape), std::make_shared<Storage>(*spec.device, spec.bytes()), {}, {}, made});
}

Tensor Tensor::zeros(const Spec& spec, std::source_location made) {
  Tensor tensor = empty(spec, made);
  std::memset(tensor.raw(), 0, spec.bytes());
  return tensor;
}

template <typename T>
Tensor Tensor::of(Device& device, const Shape& shape, std::span<const T> values, std::source_location made) {
  Tensor tensor = empty({DTypeOf<T>::value, shape, &device}, made);
  if (static_cast<std::int64_t>(values.size()) != shape.elements())
    fail(ErrorCode::kInvalidArgument, "{} values do not fill shape {}", values.size(), shape.to_string());
  if (!values.empty()) std::memcpy(tensor.raw(), values.data(), values.size_bytes());
  return tensor;
}

Tensor Tensor::borrow(const Spec& spec, void* data, std::shared_ptr<const void> keep_alive, std::source_location made) {
  return Tensor({spec,
                 Layout::contiguous(spec.shape),
                 std::make_shared<Storage>(*spec.device, data, spec.bytes(), std::move(keep_alive)),
                 {},
                 {},
                 made});
}

Tensor Tensor::symbol(const Spec& spec, Symbol symbol) {
  return Tensor({spec, Layout::contiguous(spec.shape), nullptr, {}, symbol, {}});
}

void* Tensor::raw(std::source_location where) const {
  if (is_symbol()) not_capturable(where, fmt::format("the elements of a {} value are read", spec().to_string()));
  if (body_->storage == nullptr)
    fail(ErrorCode::kInternal, "the elements of a {} tensor were read after its storage was let go",
         spec().to_string());
  return static_cast<std::byte*>(body_->storage->data()) +
         body_->layout.offset * static_cast<std::int64_t>(size_of(dtype()));
}

bool Tensor::is_sole_owner() const {
  return body_.use_count() == 1 && body_->storage != nullptr && body_->storage.use_count() == 1 &&
         body_->storage->is_own() && body_->storage->derived_forms() == nullptr;
}

void Tensor::make_state() const {
  if (body_->storage == nullptr)
    fail(ErrorCode::kInternal, "a {} tensor without storage is no state", spec().to_string());
  body_->storage->make_state();
}

void Tensor::written() const {
  if (body_->storage != nullptr) body_->storage->written();
}

DerivedForms* Tensor::derived_forms() const {
  DerivedForms* const forms = body_->storage != nullptr ? body_->storage->derived_forms() : nullptr;
  return forms != nullptr && forms->keeps() ? forms : nullptr;
}

template <typename T>
T* Tensor::data(std::source_location where) const {
  check_dtype<T>(dtype());
  return static_cast<T*>(raw(where));
}

Tensor Tensor::view(const Layout& layout, std::source_location where) const {
  if (is_symbol()) not_capturable(where, fmt::format("a view of a {} value is made by hand", spec().to_string()));
  return Tensor({Spec{dtype(), layout.shape, &device()}, layout, body_->storage, {}, {}, body_->made});
}

Tensor Tensor::traced(Trace trace) const {
  return Tensor({body_->spec, body_->layout, body_->storage, trace, body_->symbol, body_->made});
}

Tensor Tensor::without_storage() const {
  return Tensor({body_->spec, body_->layout, nullptr, body_->trace, body_->symbol, body_->made});
}

template <typename T>
std::vector<T> Tensor::to_vector(std::source_location where) const {
  check_dtype<T>(dtype());
  if (is_symbol()) raw(where);
  Tensor whole = *this;
  if (!is_contiguous()) {
    whole = empty(spec());
    copy_elements(*this, whole);
  }
  const T* first = whole.data<T>();
  return std::vector<T>(first, first + elements());
}

double Tensor::item(std::source_location where) const {
  if (elements() != 1)
    fail(ErrorCode::kInvalidArgument, "item() needs a tensor of one element, got {}", spec().to_string());
  switch (dtype()) {
    case DType::kF32:
      return static_cast<double>(*data<float>(where));
    case DType::kF64:
      return *data<double>(where);
    case DType::kI32:
      return *data<std::int32_t>(where);
    case DType::kI64:
      return static_cast<double>(*data<std::int64_t>(where));
    case DType::kBF16:
      return static_cast<double>(*data<bfloat16>(where));
  }
  return 0.0;
}

#define CONVOY_INSTANTIATE(T)                                                                     \
  template Tensor Tensor::of<T>(Device&, const Shape&, std::span<const T>, std::source_location); \
  template T* Tensor::data<T>(std::source_location) const;                                        \
  template std::vector<T> Tensor::to_vector<T>(std::source_location) const;
CONVOY_INSTANTIATE(float)
CONVOY_INSTANTIATE(double)
CONVOY_INSTANTIATE(bfloat16)
CONVOY_INSTANTIATE(std::int32_t)
CONVOY_INSTANTIATE(std::int64_t)
#undef CONVOY_INSTANTIATE

}  // namespace convoy
