// The one inner loop of every reduction: out[i] = a[i] + b[i], vectorised for the processor at hand.
#pragma once

#include <cstddef>

namespace convoy::distributed {

// Whether a result is worth keeping in the cache. kStream is for results larger than the cache; the caller runs
// flush_streamed_stores() before it tells another processor that they are there.
enum class Store { kCache, kStream };

// `out` may be `a` or `b`, but not overlap them otherwise.
void add(const float* a, const float* b, float* out, std::size_t count, Store store);
void add(const double* a, const double* b, double* out, std::size_t count, Store store);

void copy(const void* from, void* to, std::size_t bytes, Store store);
void flush_streamed_stores();

}  // namespace convoy::distributed
