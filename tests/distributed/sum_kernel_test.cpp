#include "distributed/sum_kernel.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace convoy::distributed {
namespace {

// Every length around the vector widths, at every alignment, without touching a neighbour.
template <typename T>
void check_add(Store store) {
  for (std::size_t offset = 0; offset < 17; ++offset) {
    for (std::size_t count = 0; count < 70; ++count) {
      std::vector<T> a(100), b(100), out(100, T{-1});
      std::iota(a.begin(), a.end(), T{1});
      std::iota(b.begin(), b.end(), T{1000});
      add(a.data() + 1, b.data() + 3, out.data() + offset, count, store);
      flush_streamed_stores();
      for (std::size_t i = 0; i < out.size(); ++i) {
        const bool inside = i >= offset && i < offset + count;
        ASSERT_EQ(out[i], inside ? a[i - offset + 1] + b[i - offset + 3] : T{-1}) << offset << ' ' << count << ' ' << i;
      }
    }
  }
}

TEST(SumKernelTest, AddsAnyLengthAtAnyAlignment) {
  check_add<float>(Store::kCache);
  check_add<float>(Store::kStream);
  check_add<double>(Store::kCache);
  check_add<double>(Store::kStream);
}

TEST(SumKernelTest, CopiesAnyLengthAtAnyAlignment) {
  std::vector<unsigned char> from(400);
  std::iota(from.begin(), from.end(), static_cast<unsigned char>(1));
  for (const Store store : {Store::kCache, Store::kStream}) {
    for (std::size_t offset = 0; offset < 65; ++offset) {
      for (const std::size_t bytes : {0, 1, 63, 64, 65, 127, 300}) {
        std::vector<unsigned char> to(400, 0);
        copy(from.data() + 3, to.data() + offset, bytes, store);
        flush_streamed_stores();
        for (std::size_t i = 0; i < to.size(); ++i)
          ASSERT_EQ(to[i], i >= offset && i < offset + bytes ? from[i - offset + 3] : 0) << offset << ' ' << bytes;
      }
    }
  }
}

}  // namespace
}  // namespace convoy::distributed
