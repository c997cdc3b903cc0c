#include "core/ops/pool_kernels.h"

#include "core/ops/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/pool_kernels.cpp"
// clang-format off
#include "hwy/foreach_target.h"  // must come first
#include "core/ops/vector-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace convoy {
namespace HWY_NAMESPACE {
namespace {

// visit(place, x pixel) for the places under the kernel of y's pixel (oy, ox) that lie inside the image.
template <class Visit>
HWY_INLINE void for_places(const PoolProblem& p, std::int64_t oy, std::int64_t ox, const Visit& visit) {
  const std::int64_t top = oy * p.stride[0] - p.padding[0];
  const std::int64_t left = ox * p.stride[1] - p.padding[1];
  for (std::int64_t y = std::max<std::int64_t>(top, 0); y < std::min(top + p.kernel[0], p.in[0]); ++y) {
    for (std::int64_t x = std::max<std::int64_t>(left, 0); x < std::min(left + p.kernel[1], p.in[1]); ++x)
      visit((y - top) * p.kernel[1] + (x - left), y * p.in[1] + x);
  }
}

// visit(place, y pixel) for the kernels that x's pixel (y, x) lies under, in the order of y's pixels.
template <class Visit>
HWY_INLINE void for_kernels(const PoolProblem& p, std::int64_t y, std::int64_t x, const Visit& visit) {
  const auto first = [&](std::size_t i, std::int64_t at) {
    const std::int64_t reach = at + p.padding[i] - p.kernel[i] + 1;  // of the kernel that ends here
    return reach <= 0 ? 0 : (reach + p.stride[i] - 1) / p.stride[i];
  };
  const auto last = [&](std::size_t i, std::int64_t at) {
    return std::min((at + p.padding[i]) / p.stride[i], p.out[i] - 1);
  };
  for (std::int64_t oy = first(0, y); oy <= last(0, y); ++oy) {
    for (std::int64_t ox = first(1, x); ox <= last(1, x); ++ox) {
      const std::int64_t row = y + p.padding[0] - oy * p.stride[0];
      visit(row * p.kernel[1] + x + p.padding[1] - ox * p.stride[1], oy * p.out[1] + ox);
    }
  }
}

template <typename T>
void max_pool(const PoolProblem& p, const T* x, T* y, std::uint8_t* places) {
  const Lanes<T> d;
  const hn::RebindToSigned<Lanes<T>> di;
  using Place = hn::TFromD<decltype(di)>;
  for (std::int64_t pixel = 0; pixel < p.out[0] * p.out[1]; ++pixel) {
    for_vectors<T>(p.channels, [&](auto access, std::int64_t c) HWY_ATTR {
      auto best = hn::Set(d, -std::numeric_limits<Compute<T>>::infinity());
      auto from = hn::Set(di, Place{-1});
      for_places(p, pixel / p.out[1], pixel % p.out[1], [&](std::int64_t place, std::int64_t at) HWY_ATTR {
        const auto value = access.load(x + at * p.channels + c);
        // The first place, then whatever is larger, or a NaN that follows none.
        const auto larger = hn::AndNot(hn::VecFromMask(d, hn::Le(value, best)), hn::VecFromMask(d, hn::Eq(best, best)));
        const auto none = hn::RebindMask(d, hn::Eq(from, hn::Set(di, Place{-1})));
        const auto take = hn::Or(none, hn::MaskFromVec(larger));
        best = hn::IfThenElse(take, value, best);
        from = hn::IfThenElse(hn::RebindMask(di, take), hn::Set(di, static_cast<Place>(place)), from);
      });
      access.store(best, y + pixel * p.channels + c);
      alignas(64) Place lane_places[lanes<T>()];
      hn::Store(from, di, lane_places);
      std::uint8_t* const to = places + pixel * p.place_bytes() + c;
      for (std::int64_t i = 0; i < std::min(lanes<T>(), p.channels - c); ++i)
        to[i] = static_cast<std::uint8_t>(lane_places[i]);
    });
    for (std::int64_t c = p.channels; c < p.place_bytes(); ++c) places[pixel * p.place_bytes() + c] = 0;
  }
}

template <typename T>
void max_pool_backward(const PoolProblem& p, const std::uint8_t* places, const T* dy, T* dx) {
  using C = Compute<T>;
  constexpr std::int64_t kBlock = 64;  // channels
  alignas(64) C sums[kBlock];
  for (std::int64_t pixel = 0; pixel < p.in[0] * p.in[1]; ++pixel) {
    for (std::int64_t first = 0; first < p.channels; first += kBlock) {
      const std::int64_t channels = std::min(kBlock, p.channels - first);
      std::fill_n(sums, channels, C{0});
      for_kernels(p, pixel / p.in[1], pixel % p.in[1], [&](std::int64_t place, std::int64_t at) HWY_ATTR {
        const std::uint8_t* const from = places + at * p.place_bytes() + first;
        const T* const gradient = dy + at * p.channels + first;
        const auto here = static_cast<std::uint8_t>(place);
        for (std::int64_t c = 0; c < channels; ++c) sums[c] += from[c] == here ? static_cast<C>(gradient[c]) : C{0};
      });
      T* const to = dx + pixel * p.channels + first;
      for_vectors<T>(channels,
                     [&](auto access, std::int64_t c) HWY_ATTR { access.store(access.load(sums + c), to + c); });
    }
  }
}

template <typename T>
void avg_pool(const PoolProblem& p, const T* x, T* y) {
  const Lanes<T> d;
  const auto share = hn::Set(d, static_cast<Compute<T>>(1.0 / static_cast<double>(p.kernel[0] * p.kernel[1])));
  for (std::int64_t pixel = 0; pixel < p.out[0] * p.out[1]; ++pixel) {
    for_vectors<T>(p.channels, [&](auto access, std::int64_t c) HWY_ATTR {
      auto sum = hn::Zero(d);
      for_places(p, pixel / p.out[1], pixel % p.out[1], [&](std::int64_t, std::int64_t at) HWY_ATTR {
        sum = hn::Add(sum, access.load(x + at * p.channels + c));
      });
      access.store(hn::Mul(sum, share), y + pixel * p.channels + c);
    });
  }
}

template <typename T>
void avg_pool_backward(const PoolProblem& p, const T* dy, T* dx) {
  const Lanes<T> d;
  const auto share = hn::Set(d, static_cast<Compute<T>>(1.0 / static_cast<double>(p.kernel[0] * p.kernel[1])));
  for (std::int64_t pixel = 0; pixel < p.in[0] * p.in[1]; ++pixel) {
    for_vectors<T>(p.channels, [&](auto access, std::int64_t c) HWY_ATTR {
      auto sum = hn::Zero(d);
      for_kernels(p, pixel / p.in[1], pixel % p.in[1], [&](std::int64_t, std::int64_t at) HWY_ATTR {
        sum = hn::Add(sum, access.load(dy + at * p.channels + c));
      });
      access.store(hn::Mul(sum, share), dx + pixel * p.channels + c);
    });
  }
}

void max_pool_f32(const PoolProblem& p, const float* x, float* y, std::uint8_t* places) { max_pool(p, x, y, places); }
void max_pool_f64(const PoolProblem& p, const double* x, double* y, std::uint8_t* places) { max_pool(p, x, y, places); }
void max_pool_bf16(const PoolProblem& p, const bfloat16* x, bfloat16* y, std::uint8_t* places) {
  max_pool(p, x, y, places);
}
void max_pool_backward_f32(const PoolProblem& p, const std::uint8_t* places, const float* dy, float* dx) {
  max_pool_backward(p, places, dy, dx);
}
void max_pool_backward_f64(const PoolProblem& p, const std::uint8_t* places, const double* dy, double* dx) {
  max_pool_backward(p, places, dy, dx);
}
void max_pool_backward_bf16(const PoolProblem& p, const std::uint8_t* places, const bfloat16* dy, bfloat16* dx) {
  max_pool_backward(p, places, dy, dx);
}
void avg_pool_f32(const PoolProblem& p, const float* x, float* y) { avg_pool(p, x, y); }
void avg_pool_f64(const PoolProblem& p, const double* x, double* y) { avg_pool(p, x, y); }
void avg_pool_bf16(const PoolProblem& p, const bfloat16* x, bfloat16* y) { avg_pool(p, x, y); }
void avg_pool_backward_f32(const PoolProblem& p, const float* dy, float* dx) { avg_pool_backward(p, dy, dx); }
void avg_pool_backward_f64(const PoolProblem& p, const double* dy, double* dx) { avg_pool_backward(p, dy, dx); }
void avg_pool_backward_bf16(const PoolProblem& p, const bfloat16* dy, bfloat16* dx) { avg_pool_backward(p, dy, dx); }

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace convoy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convoy {

HWY_EXPORT(max_pool_f32);
HWY_EXPORT(max_pool_f64);
HWY_EXPORT(max_pool_bf16);
HWY_EXPORT(max_pool_backward_f32);
HWY_EXPORT(max_pool_backward_f64);
HWY_EXPORT(max_pool_backward_bf16);
HWY_EXPORT(avg_pool_f32);
HWY_EXPORT(avg_pool_f64);
HWY_EXPORT(avg_pool_bf16);
HWY_EXPORT(avg_pool_backward_f32);
HWY_EXPORT(avg_pool_backward_f64);
HWY_EXPORT(avg_pool_backward_bf16);

void max_pool_kernel(const PoolProblem& p, const float* x, float* y, std::uint8_t* places) {
  HWY_DYNAMIC_DISPATCH(max_pool_f32)(p, x, y, places);
}
void max_pool_kernel(const PoolProblem& p, const double* x, double* y, std::uint8_t* places) {
  HWY_DYNAMIC_DISPATCH(max_pool_f64)(p, x, y, places);
}
void max_pool_kernel(const PoolProblem& p, const bfloat16* x, bfloat16* y, std::uint8_t* places) {
  HWY_DYNAMIC_DISPATCH(max_pool_bf16)(p, x, y, places);
}
void max_pool_backward_kernel(const PoolProblem& p, const std::uint8_t* places, const float* dy, float* dx) {
  HWY_DYNAMIC_DISPATCH(max_pool_backward_f32)(p, places, dy, dx);
}
void max_pool_backward_kernel(const PoolProblem& p, const std::uint8_t* places, const double* dy, double* dx) {
  HWY_DYNAMIC_DISPATCH(max_pool_backward_f64)(p, places, dy, dx);
}
void max_pool_backward_kernel(const PoolProblem& p, const std::uint8_t* places, const bfloat16* dy, bfloat16* dx) {
  HWY_DYNAMIC_DISPATCH(max_pool_backward_bf16)(p, places, dy, dx);
}
void avg_pool_kernel(const PoolProblem& p, const float* x, float* y) { HWY_DYNAMIC_DISPATCH(avg_pool_f32)(p, x, y); }
void avg_pool_kernel(const PoolProblem& p, const double* x, double* y) { HWY_DYNAMIC_DISPATCH(avg_pool_f64)(p, x, y); }
void avg_pool_kernel(const PoolProblem& p, const bfloat16* x, bfloat16* y) {
  HWY_DYNAMIC_DISPATCH(avg_pool_bf16)(p, x, y);
}
void avg_pool_backward_kernel(const PoolProblem& p, const float* dy, float* dx) {
  HWY_DYNAMIC_DISPATCH(avg_pool_backward_f32)(p, dy, dx);
}
void avg_pool_backward_kernel(const PoolProblem& p, const double* dy, double* dx) {
  HWY_DYNAMIC_DISPATCH(avg_pool_backward_f64)(p, dy, dx);
}
void avg_pool_backward_kernel(const PoolProblem& p, const bfloat16* dy, bfloat16* dx) {
  HWY_DYNAMIC_DISPATCH(avg_pool_backward_bf16)(p, dy, dx);
}

}  // namespace convoy
#endif
