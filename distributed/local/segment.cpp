#include "distributed/local/segment.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <new>
#include <string>
#include <utility>

#include "core/base/available_memory.h"
#include "core/base/error.h"

namespace convoy::distributed {
namespace {

constexpr std::size_t kAlignment = 2 << 20;  // of the arena and the whole: huge pages, where the system gives them
constexpr std::size_t kPage = 4096;
constexpr int kSizeSeals = F_SEAL_SHRINK | F_SEAL_GROW;

std::size_t round_up(std::size_t bytes, std::size_t to) { return (bytes + to - 1) / to * to; }

}  // namespace

Segment::Segment(const SegmentOptions& options)
    : staging_offset_(round_up(sizeof(SegmentHeader), kPage)),
      arena_offset_(round_up(staging_offset_ + round_up(options.staging_bytes, kPage), kAlignment)) {
  bytes_ = arena_offset_ + round_up(options.arena_bytes, kAlignment);
  const auto refuse = [this](const char* call, int error) {
    fail(ErrorCode::kUnavailable, "shared memory of up to {} MiB for this worker: {}: {}", bytes_ >> 20, call,
         errno_text(error));
  };
  fd_ = UniqueFd(memfd_create("convoy-segment", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd_) refuse("memfd_create", errno);
  if (ftruncate(fd_.get(), static_cast<off_t>(bytes_)) != 0) refuse("ftruncate", errno);
  allocate(0, arena_offset_);

  void* const mapped = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
  if (mapped == MAP_FAILED) refuse("mmap", errno);
  base_ = static_cast<std::byte*>(mapped);
  header_ = new (base_) SegmentHeader;
  // Opened anew, since a seal against writing would keep the owner from giving memory back, too.
  for_peers_ = UniqueFd(open(fmt::format("/proc/self/fd/{}", fd_.get()).c_str(), O_RDONLY | O_CLOEXEC));
  if (!for_peers_ || fcntl(fd_.get(), F_ADD_SEALS, kSizeSeals) != 0) {
    const int error = errno;
    munmap(base_, bytes_);
    refuse(for_peers_ ? "sealing it" : "opening it to read", error);
  }
}

Segment::~Segment() { munmap(base_, bytes_); }

// At once: memory that runs out when it is touched would kill whoever touches it. Asking the kernel for more than there
// is would not fail either, but wake the OOM killer.
void Segment::allocate(std::size_t begin, std::size_t bytes) {
  if (const auto available = available_memory(); available && bytes > *available)
    fail(ErrorCode::kUnavailable, "{} MiB ({} bytes) of shared memory for this worker: only {} MiB are available",
         bytes >> 20, bytes, *available >> 20);
  int status = 0;
  do {
    status = fallocate(fd_.get(), 0, static_cast<off_t>(begin), static_cast<off_t>(bytes));
  } while (status != 0 && errno == EINTR);
  if (status != 0)
    fail(ErrorCode::kUnavailable, "{} MiB ({} bytes) of shared memory for this worker: fallocate: {}", bytes >> 20,
         bytes, errno_text(errno));
}

void Segment::commit(std::size_t offset, std::size_t bytes) {
  const std::size_t arena = bytes_ - arena_offset_;
  if (offset > arena || bytes > arena - offset)
    fail(ErrorCode::kInternal, "bytes [{}, +{}) do not lie in an arena of {}", offset, bytes, arena);
  if (bytes == 0) return;
  const std::size_t begin = offset / kPage * kPage;
  allocate(arena_offset_ + begin, round_up(offset + bytes, kPage) - begin);
}

bool Segment::in_arena(const void* data, std::size_t bytes) const {
  const auto begin = reinterpret_cast<std::uintptr_t>(base_) + arena_offset_;
  const auto end = reinterpret_cast<std::uintptr_t>(base_) + bytes_;
  const auto address = reinterpret_cast<std::uintptr_t>(data);
  return address >= begin && address <= end && bytes <= end - address;
}

PeerSegment::PeerSegment(UniqueFd fd) {
  struct stat status {};
  const int seals = fcntl(fd.get(), F_GET_SEALS);
  if (seals < 0 || (seals & kSizeSeals) != kSizeSeals || fstat(fd.get(), &status) != 0 ||
      static_cast<std::size_t>(status.st_size) < sizeof(SegmentHeader))
    fail(ErrorCode::kUnavailable, "a peer's shared memory: expected a sealed segment of at least {} bytes",
         sizeof(SegmentHeader));
  bytes_ = static_cast<std::size_t>(status.st_size);
  void* const mapped = mmap(nullptr, bytes_, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (mapped == MAP_FAILED)
    fail(ErrorCode::kUnavailable, "a peer's shared memory of {} MiB: mmap: {}", bytes_ >> 20, errno_text(errno));
  base_ = static_cast<const std::byte*>(mapped);
}

PeerSegment::~PeerSegment() {
  if (base_ != nullptr) munmap(const_cast<std::byte*>(base_), bytes_);
}

PeerSegment::PeerSegment(PeerSegment&& other) noexcept
    : base_(std::exchange(other.base_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

const std::byte* PeerSegment::at(std::uint64_t offset, std::uint64_t bytes) const {
  if (offset > bytes_ || bytes > bytes_ - offset)
    fail(ErrorCode::kInternal, "a peer announced bytes [{}, +{}) of its segment of {}", offset, bytes, bytes_);
  return base_ + offset;
}

}  // namespace convoy::distributed
