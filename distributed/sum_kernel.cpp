#include "distributed/sum_kernel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "distributed/sum_kernel.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h compiles this file once a target; highway.h must follow it.
#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <cstdint>
#include <cstring>

HWY_BEFORE_NAMESPACE();
namespace convoy::distributed::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Applies `combine` to one vector (or one element) of inputs after the other. Streaming stores need aligned
// addresses: the elements before the first aligned one and after the last whole vector are stored as usual. Which
// elements share a vector changes no bit, for the operation is per element.
template <typename T, typename Vector, typename Scalar>
HWY_ATTR void for_each(T* out, std::size_t count, Store store, const Vector& vector_at, const Scalar& scalar_at) {
  const hn::ScalableTag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  if (store == Store::kStream) {
    while (i < count && reinterpret_cast<std::uintptr_t>(out + i) % (lanes * sizeof(T)) != 0)
      out[i] = scalar_at(i), ++i;
    for (; i + lanes <= count; i += lanes) hn::Stream(vector_at(d, i), d, out + i);
  } else {
    for (; i + 2 * lanes <= count; i += 2 * lanes) {
      const auto first = vector_at(d, i);
      const auto second = vector_at(d, i + lanes);
      hn::StoreU(first, d, out + i);
      hn::StoreU(second, d, out + i + lanes);
    }
  }
  for (; i < count; ++i) out[i] = scalar_at(i);
}

template <typename T>
HWY_ATTR void add_vectors(const T* a, const T* b, T* out, std::size_t count, Store store) {
  const auto vector_at = [a, b](auto d, std::size_t i)
                             HWY_ATTR { return hn::Add(hn::LoadU(d, a + i), hn::LoadU(d, b + i)); };
  const auto scalar_at = [a, b](std::size_t i) { return a[i] + b[i]; };
  for_each(out, count, store, vector_at, scalar_at);
}

void add_f32(const float* a, const float* b, float* out, std::size_t count, Store store) {
  add_vectors(a, b, out, count, store);
}

void add_f64(const double* a, const double* b, double* out, std::size_t count, Store store) {
  add_vectors(a, b, out, count, store);
}

void copy_streaming(const std::uint8_t* from, std::uint8_t* to, std::size_t bytes) {
  const auto vector_at = [from](auto d, std::size_t i) HWY_ATTR { return hn::LoadU(d, from + i); };
  const auto scalar_at = [from](std::size_t i) { return from[i]; };
  for_each(to, bytes, Store::kStream, vector_at, scalar_at);
}

}  // namespace convoy::distributed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convoy::distributed {

HWY_EXPORT(add_f32);
HWY_EXPORT(add_f64);
HWY_EXPORT(copy_streaming);

void add(const float* a, const float* b, float* out, std::size_t count, Store store) {
  HWY_DYNAMIC_DISPATCH(add_f32)(a, b, out, count, store);
}

void add(const double* a, const double* b, double* out, std::size_t count, Store store) {
  HWY_DYNAMIC_DISPATCH(add_f64)(a, b, out, count, store);
}

void copy(const void* from, void* to, std::size_t bytes, Store store) {
  if (bytes == 0) return;
  if (store == Store::kCache) {
    std::memcpy(to, from, bytes);
  } else {
    HWY_DYNAMIC_DISPATCH(copy_streaming)
    (static_cast<const std::uint8_t*>(from), static_cast<std::uint8_t*>(to), bytes);
  }
}

void flush_streamed_stores() { hwy::FlushStream(); }

}  // namespace convoy::distributed
#endif  // HWY_ONCE
