#include "tests/support/counters/counters.h"

#include <dlfcn.h>
#include <dnnl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <string_view>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CONVOY_COUNTS_BLOCKS 0
#else
#define CONVOY_COUNTS_BLOCKS 1
#endif

namespace {

struct Call {
  void* from;
  std::size_t bytes;
};

constexpr std::size_t kMostCalls = 1 << 16;
std::array<Call, kMostCalls> calls;
std::atomic<std::size_t> call_count{0};
std::atomic<std::uint64_t> primitive_count{0};
std::atomic<bool> counting{false};

[[maybe_unused]] void note(void* from, std::size_t bytes) {
  if (!counting.load(std::memory_order_relaxed)) return;
  const std::size_t index = call_count.fetch_add(1, std::memory_order_relaxed);
  if (index < kMostCalls) calls[index] = {from, bytes};
}

template <typename Function>
Function original(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

}  // namespace

// oneDNN's functions that make something, with those behind them.
extern "C" dnnl_status_t dnnl_primitive_create(dnnl_primitive_t* primitive, const_dnnl_primitive_desc_t description) {
  if (counting) ++primitive_count;
  static const auto create = original<decltype(&dnnl_primitive_create)>("dnnl_primitive_create");
  return create(primitive, description);
}

extern "C" dnnl_status_t dnnl_primitive_desc_create(dnnl_primitive_desc_t* description, const_dnnl_op_desc_t op,
                                                    const_dnnl_primitive_attr_t attributes, dnnl_engine_t engine,
                                                    const_dnnl_primitive_desc_t hint) {
  if (counting) ++primitive_count;
  static const auto create = original<decltype(&dnnl_primitive_desc_create)>("dnnl_primitive_desc_create");
  return create(description, op, attributes, engine, hint);
}

#if CONVOY_COUNTS_BLOCKS
extern "C" {
void* __libc_malloc(std::size_t bytes);
void* __libc_calloc(std::size_t count, std::size_t bytes);
void* __libc_realloc(void* data, std::size_t bytes);
void* __libc_memalign(std::size_t alignment, std::size_t bytes);
void __libc_free(void* data);

void* malloc(std::size_t bytes) {
  note(__builtin_return_address(0), bytes);
  return __libc_malloc(bytes);
}
void* calloc(std::size_t count, std::size_t bytes) {
  note(__builtin_return_address(0), count * bytes);
  return __libc_calloc(count, bytes);
}
void* realloc(void* data, std::size_t bytes) {
  note(__builtin_return_address(0), bytes);
  return __libc_realloc(data, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  note(__builtin_return_address(0), bytes);
  return __libc_memalign(alignment, bytes);
}
void* memalign(std::size_t alignment, std::size_t bytes) {
  note(__builtin_return_address(0), bytes);
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void** data, std::size_t alignment, std::size_t bytes) {
  note(__builtin_return_address(0), bytes);
  *data = __libc_memalign(alignment, bytes);
  return *data == nullptr ? ENOMEM : 0;
}
void free(void* data) { __libc_free(data); }
}

// Not by way of malloc, so that the caller is the one who wrote `new`.
void* operator new(std::size_t bytes) {
  note(__builtin_return_address(0), bytes);
  if (void* const data = __libc_malloc(bytes)) return data;
  throw std::bad_alloc();
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  note(__builtin_return_address(0), bytes);
  if (void* const data = __libc_memalign(static_cast<std::size_t>(alignment), bytes)) return data;
  throw std::bad_alloc();
}
void operator delete(void* data) noexcept { __libc_free(data); }
void operator delete(void* data, std::size_t) noexcept { __libc_free(data); }
void operator delete(void* data, std::align_val_t) noexcept { __libc_free(data); }
void operator delete(void* data, std::size_t, std::align_val_t) noexcept { __libc_free(data); }
#endif

namespace convoy::testing_support {

void start_counting() {
  call_count = 0;
  primitive_count = 0;
  counting = true;
}

Counts stop_counting() {
  counting = false;
  Counts counts{.own = 0, .onednn = 0, .largest = 0, .primitives = primitive_count, .who = ""};
  for (std::size_t i = 0; i < std::min<std::size_t>(call_count, kMostCalls); ++i) {
    Dl_info info{};
    const bool known = dladdr(calls[i].from, &info) != 0;
    const std::string_view library = known ? info.dli_fname : "";
    if (library.find("libdnnl") != std::string_view::npos) {
      ++counts.onednn;
      counts.largest = std::max<std::uint64_t>(counts.largest, calls[i].bytes);
      continue;
    }
    if (counts.own++ == 0)
      counts.who = fmt::format(
          "{} bytes for {} in {}", calls[i].bytes,
          known && info.dli_sname != nullptr ? info.dli_sname : fmt::to_string(fmt::ptr(calls[i].from)), library);
  }
  return counts;
}

}  // namespace convoy::testing_support
