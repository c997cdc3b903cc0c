#include "distributed/pages.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstdint>

#include "core/base/available_memory.h"
#include "core/base/error.h"

namespace convoy::distributed {

Pages::Pages(std::size_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  data_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data_ == MAP_FAILED)
    fail(ErrorCode::kUnavailable, "cannot have {} bytes of address space for gradients: {}", bytes, errno_text(errno));
  madvise(data_, bytes, MADV_HUGEPAGE);
}

Pages::~Pages() {
  if (bytes_ > 0) munmap(data_, bytes_);
}

void Pages::commit(std::size_t offset, std::size_t bytes) const {
  if (offset > bytes_ || bytes > bytes_ - offset)
    fail(ErrorCode::kInternal, "bytes [{}, +{}) do not lie in an arena of {}", offset, bytes, bytes_);
  if (const auto available = available_memory(); available && bytes > *available)
    fail(ErrorCode::kUnavailable, "{} MiB ({} bytes) of memory for gradients: only {} MiB are available", bytes >> 20,
         bytes, *available >> 20);
}

bool give_back(std::span<std::byte> bytes) noexcept {
  constexpr std::uintptr_t kPage = 4096;
  const auto address = reinterpret_cast<std::uintptr_t>(bytes.data());
  const std::uintptr_t begin = (address + kPage - 1) / kPage * kPage;
  const std::uintptr_t end = (address + bytes.size()) / kPage * kPage;
  if (begin >= end) return true;
  // What is shared stays until it is removed from its file; what is private has none.
  void* const pages = bytes.data() + (begin - address);
  if (madvise(pages, end - begin, MADV_REMOVE) == 0) return true;
  return errno == EINVAL && madvise(pages, end - begin, MADV_DONTNEED) == 0;
}

}  // namespace convoy::distributed
