#include "core/ops/batch_norm_kernels.h"

#include "core/ops/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/batch_norm_kernels.cpp"
// clang-format off
#include "hwy/foreach_target.h"  // must come first
#include "core/ops/vector-inl.h"
// clang-format on

#include <type_traits>

HWY_BEFORE_NAMESPACE();
namespace convoy {
namespace HWY_NAMESPACE {
namespace {

// Channels summed together: enough independent sums to hide an addition's latency, few enough for registers.
constexpr std::int64_t kStrip = 4;  // vectors

// Calls body(access, c, count) for strips of channels: `count` whole vectors from c on, or a part of one.
template <typename T, class Body>
HWY_INLINE void for_strips(std::int64_t width, const Body& body) {
  constexpr std::int64_t kLanes = lanes<T>();
  std::int64_t c = 0;
  for (; c + kStrip * kLanes <= width; c += kStrip * kLanes)
    body(Whole<Compute<T>>(), c, std::integral_constant<std::size_t, kStrip>());
  for (; c + kLanes <= width; c += kLanes) body(Whole<Compute<T>>(), c, std::integral_constant<std::size_t, 1>());
  if (c < width) body(Part<Compute<T>>(width - c), c, std::integral_constant<std::size_t, 1>());
}

// Adds a block's column sums to fp64 totals.
template <typename T, class V>
HWY_INLINE void add_wide(V value, std::int64_t count, double* totals) {
  alignas(64) Compute<T> values[lanes<T>()];
  hn::Store(value, Lanes<T>(), values);
  for (std::int64_t i = 0; i < count; ++i) totals[i] += static_cast<double>(values[i]);
}

template <typename T>
void column_moments(const ColumnMoments& a, const T* x) {
  const Lanes<T> d;
  using V = hn::Vec<Lanes<T>>;
  constexpr std::int64_t kLanes = lanes<T>();
  for (std::int64_t begin = 0; begin < a.rows; begin += kBatchNormBlock) {
    const std::int64_t rows = std::min(kBatchNormBlock, a.rows - begin);
    const T* block = x + begin * a.width;
    const V inverse = hn::Set(d, static_cast<Compute<T>>(1.0 / static_cast<double>(rows)));
    for_strips<T>(a.width, [&](auto access, std::int64_t c, auto strip) HWY_ATTR {
      constexpr std::size_t kCount = decltype(strip)::value;
      V sums[kCount], squares[kCount], means[kCount];
      for (std::size_t k = 0; k < kCount; ++k) sums[k] = squares[k] = hn::Zero(d);
      for (std::int64_t row = 0; row < rows; ++row) {
        const T* from = block + row * a.width + c;
        for (std::size_t k = 0; k < kCount; ++k)
          sums[k] = hn::Add(sums[k], access.load(from + static_cast<std::int64_t>(k) * kLanes));
      }
      for (std::size_t k = 0; k < kCount; ++k) means[k] = hn::Mul(sums[k], inverse);
      for (std::int64_t row = 0; row < rows; ++row) {
        const T* from = block + row * a.width + c;
        for (std::size_t k = 0; k < kCount; ++k) {
          const V centred = hn::Sub(access.load(from + static_cast<std::int64_t>(k) * kLanes), means[k]);
          squares[k] = hn::MulAdd(centred, centred, squares[k]);
        }
      }
      // Σx² = Σ(x - m)² + 2mΣx - rows·m², whatever m is: exact for the rounded block mean.
      alignas(64) Compute<T> s[lanes<T>()], q[lanes<T>()], m[lanes<T>()];
      for (std::size_t k = 0; k < kCount; ++k) {
        hn::Store(sums[k], d, s);
        hn::Store(squares[k], d, q);
        hn::Store(means[k], d, m);
        const std::int64_t first = c + static_cast<std::int64_t>(k) * kLanes;
        for (std::int64_t i = 0; i < std::min(kLanes, a.width - first); ++i) {
          const auto sum = static_cast<double>(s[i]);
          const auto mean = static_cast<double>(m[i]);
          a.sums[first + i] += sum;
          a.squares[first + i] += static_cast<double>(q[i]) + mean * (2.0 * sum - static_cast<double>(rows) * mean);
        }
      }
    });
  }
}

template <typename T, class V>
HWY_INLINE V relu_of(V x) {
  return hn::IfThenZeroElse(hn::Le(x, hn::Zero(Lanes<T>())), x);
}

template <typename T>
void apply_norm(const BatchNormApply<T>& a) {
  for (std::int64_t row = 0; row < a.rows; ++row) {
    const T* x = a.x + row * a.width;
    const T* residual = a.residual == nullptr ? nullptr : a.residual + row * a.width;
    T* y = a.y + row * a.width;
    for_vectors<T>(a.width, [&](auto access, std::int64_t i) HWY_ATTR {
      auto value = hn::MulAdd(access.load(x + i), access.load(a.scale + i), access.load(a.offset + i));
      if (residual != nullptr) value = hn::Add(value, access.load(residual + i));
      access.store(a.relu ? relu_of<T>(value) : value, y + i);
    });
  }
}

template <typename T>
void sums_of(const BatchNormSums<T>& a) {
  const Lanes<T> d;
  using V = hn::Vec<Lanes<T>>;
  constexpr std::int64_t kLanes = lanes<T>();
  for (std::int64_t begin = 0; begin < a.rows; begin += kBatchNormBlock) {
    const std::int64_t rows = std::min(kBatchNormBlock, a.rows - begin);
    for_strips<T>(a.width, [&](auto access, std::int64_t c, auto strip) HWY_ATTR {
      constexpr std::size_t kCount = decltype(strip)::value;
      V sums[kCount], products[kCount];
      for (std::size_t k = 0; k < kCount; ++k) sums[k] = products[k] = hn::Zero(d);
      for (std::int64_t row = begin; row < begin + rows; ++row) {
        for (std::size_t k = 0; k < kCount; ++k) {
          const std::int64_t channel = c + static_cast<std::int64_t>(k) * kLanes;
          const std::int64_t i = row * a.width + channel;
          const V x = access.load(a.x + i);
          V g = access.load(a.dy + i);
          if (a.relu) {
            const V y = a.y != nullptr ? access.load(a.y + i)
                                       : hn::MulAdd(x, access.load(a.scale + channel), access.load(a.offset + channel));
            g = hn::IfThenZeroElse(hn::Le(y, hn::Zero(d)), g);
          }
          if (a.g != nullptr) access.store(g, a.g + i);
          sums[k] = hn::Add(sums[k], g);
          products[k] = hn::MulAdd(g, hn::Sub(x, access.load(a.mean + channel)), products[k]);
        }
      }
      for (std::size_t k = 0; k < kCount; ++k) {
        const std::int64_t channel = c + static_cast<std::int64_t>(k) * kLanes;
        const std::int64_t count = std::min(kLanes, a.width - channel);
        add_wide<T>(sums[k], count, a.sums + channel);
        add_wide<T>(products[k], count, a.products + channel);
      }
    });
  }
}

template <typename T>
void gradient(const BatchNormGradient<T>& a) {
  const Lanes<T> d;
  for (std::int64_t row = 0; row < a.rows; ++row) {
    const T* x = a.x + row * a.width;
    const T* dy = a.dy + row * a.width;
    T* dx = a.dx + row * a.width;
    for_vectors<T>(a.width, [&](auto access, std::int64_t i) HWY_ATTR {
      const auto value = access.load(x + i);
      const auto scale = access.load(a.scale + i);
      auto g = access.load(dy + i);
      if (a.relu) {
        const auto y = hn::MulAdd(value, scale, access.load(a.offset + i));
        g = hn::IfThenZeroElse(hn::Le(y, hn::Zero(d)), g);
      }
      const auto centred = hn::Sub(value, access.load(a.mean + i));
      const auto rest = hn::MulAdd(centred, access.load(a.factor + i), access.load(a.addend + i));
      access.store(hn::MulAdd(g, scale, rest), dx + i);
    });
  }
}

void column_moments_f32(const ColumnMoments& a, const float* x) { column_moments(a, x); }
void column_moments_f64(const ColumnMoments& a, const double* x) { column_moments(a, x); }
void column_moments_bf16(const ColumnMoments& a, const bfloat16* x) { column_moments(a, x); }
void apply_f32(const BatchNormApply<float>& a) { apply_norm(a); }
void apply_f64(const BatchNormApply<double>& a) { apply_norm(a); }
void apply_bf16(const BatchNormApply<bfloat16>& a) { apply_norm(a); }
void sums_f32(const BatchNormSums<float>& a) { sums_of(a); }
void sums_f64(const BatchNormSums<double>& a) { sums_of(a); }
void sums_bf16(const BatchNormSums<bfloat16>& a) { sums_of(a); }
void gradient_f32(const BatchNormGradient<float>& a) { gradient(a); }
void gradient_f64(const BatchNormGradient<double>& a) { gradient(a); }
void gradient_bf16(const BatchNormGradient<bfloat16>& a) { gradient(a); }

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace convoy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convoy {

HWY_EXPORT(column_moments_f32);
HWY_EXPORT(column_moments_f64);
HWY_EXPORT(column_moments_bf16);
HWY_EXPORT(apply_f32);
HWY_EXPORT(apply_f64);
HWY_EXPORT(apply_bf16);
HWY_EXPORT(sums_f32);
HWY_EXPORT(sums_f64);
HWY_EXPORT(sums_bf16);
HWY_EXPORT(gradient_f32);
HWY_EXPORT(gradient_f64);
HWY_EXPORT(gradient_bf16);

void column_moments_kernel(const ColumnMoments& a, const float* x) { HWY_DYNAMIC_DISPATCH(column_moments_f32)(a, x); }
void column_moments_kernel(const ColumnMoments& a, const double* x) { HWY_DYNAMIC_DISPATCH(column_moments_f64)(a, x); }
void column_moments_kernel(const ColumnMoments& a, const bfloat16* x) {
  HWY_DYNAMIC_DISPATCH(column_moments_bf16)(a, x);
}
void batch_norm_apply_kernel(const BatchNormApply<float>& a) { HWY_DYNAMIC_DISPATCH(apply_f32)(a); }
void batch_norm_apply_kernel(const BatchNormApply<double>& a) { HWY_DYNAMIC_DISPATCH(apply_f64)(a); }
void batch_norm_apply_kernel(const BatchNormApply<bfloat16>& a) { HWY_DYNAMIC_DISPATCH(apply_bf16)(a); }
void batch_norm_sums_kernel(const BatchNormSums<float>& a) { HWY_DYNAMIC_DISPATCH(sums_f32)(a); }
void batch_norm_sums_kernel(const BatchNormSums<double>& a) { HWY_DYNAMIC_DISPATCH(sums_f64)(a); }
void batch_norm_sums_kernel(const BatchNormSums<bfloat16>& a) { HWY_DYNAMIC_DISPATCH(sums_bf16)(a); }
void batch_norm_gradient_kernel(const BatchNormGradient<float>& a) { HWY_DYNAMIC_DISPATCH(gradient_f32)(a); }
void batch_norm_gradient_kernel(const BatchNormGradient<double>& a) { HWY_DYNAMIC_DISPATCH(gradient_f64)(a); }
void batch_norm_gradient_kernel(const BatchNormGradient<bfloat16>& a) { HWY_DYNAMIC_DISPATCH(gradient_bf16)(a); }

}  // namespace convoy
#endif
