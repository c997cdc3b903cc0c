// Kernels that are templates over the floating types, compiled for every instruction set and picked at run time.
//
// `kernel` takes one thing, an Arguments<T>. CONVOY_FOR_EACH_TYPE(kernel, Arguments) stands behind it inside of
// HWY_NAMESPACE; CONVOY_RUN_KERNEL(kernel, Arguments), within HWY_ONCE, makes run(const Arguments<T>&), which calls the
// processor's own.
#pragma once

#include "core/tensor/bfloat16.h"

#define CONVOY_FOR_EACH_TYPE(kernel, Arguments)                                    \
  auto kernel##_f32(const Arguments<float>& a) { return kernel(a); }               \
  auto kernel##_f64(const Arguments<double>& a) { return kernel(a); }              \
  auto kernel##_bf16(const Arguments<::convoy::bfloat16>& a) { return kernel(a); } \
  static_assert(true)

#define CONVOY_RUN_KERNEL(kernel, Arguments)                                                          \
  HWY_EXPORT(kernel##_f32);                                                                           \
  HWY_EXPORT(kernel##_f64);                                                                           \
  HWY_EXPORT(kernel##_bf16);                                                                          \
  auto run(const Arguments<float>& a) { return HWY_DYNAMIC_DISPATCH(kernel##_f32)(a); }               \
  auto run(const Arguments<double>& a) { return HWY_DYNAMIC_DISPATCH(kernel##_f64)(a); }              \
  auto run(const Arguments<::convoy::bfloat16>& a) { return HWY_DYNAMIC_DISPATCH(kernel##_bf16)(a); } \
  static_assert(true)
