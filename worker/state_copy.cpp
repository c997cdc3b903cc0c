#include "worker/state_copy.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/base/error.h"
#include "core/base/quantity.h"

namespace convoy::worker {
namespace {

// Of the time between two updates that copies ahead may count on: steps are not all alike.
constexpr double kCertain = 0.9;
// Copies ahead begin this many times earlier than they need to if nothing else wants the memory.
constexpr double kLeisure = 2.0;
constexpr std::size_t kHugePage = std::size_t{2} << 20;

}  // namespace

StateCopy::StateCopy(std::vector<Bytes> parts, std::size_t piece_bytes) : piece_bytes_(piece_bytes) {
  use(std::move(parts));
}

StateCopy::~StateCopy() { unmap(); }

void StateCopy::unmap() noexcept {
  if (memory_ != nullptr) ::munmap(std::exchange(memory_, nullptr), memory_bytes_);
}

void StateCopy::use(std::vector<Bytes> parts) {
  const Lock lock(mutex_);
  if (reading_) fail(ErrorCode::kInvalidArgument, "the state of another step is still being read");
  parts_ = std::move(parts);
  part_ends_.clear();
  bytes_ = 0;
  for (const Bytes& part : parts_) part_ends_.push_back(bytes_ += part.size());
  pieces_ = (bytes_ + piece_bytes_ - 1) / piece_bytes_;
}

std::size_t StateCopy::bytes_of(std::size_t piece) const {
  return std::min(piece_bytes_, bytes_ - piece * piece_bytes_);
}

// Addresses only; huge pages make it dear to begin, and cheap to fill, each of them.
void StateCopy::reserve() {
  if ((memory_ != nullptr && memory_bytes_ >= pieces_ * piece_bytes_) || pieces_ == 0) return;
  unmap();
  const std::size_t bytes = pieces_ * piece_bytes_ + kHugePage;
  void* const memory =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    fail(ErrorCode::kUnavailable, "cannot reserve {} for a copy of the state: {}",
         with_prefix(static_cast<double>(bytes), "B"), errno_text(errno));
  // The first place begins where a huge page can.
  const std::size_t skip = (kHugePage - reinterpret_cast<std::uintptr_t>(memory) % kHugePage) % kHugePage;
  if (skip > 0) ::munmap(memory, skip);
  memory_ = static_cast<std::byte*>(memory) + skip;
  memory_bytes_ = bytes - skip;
  ::madvise(memory_, memory_bytes_, MADV_HUGEPAGE);
  in_hand_.resize(piece_bytes_);
}

void StateCopy::begin(std::size_t most_aside) {
  const Lock lock(mutex_);
  if (reading_) fail(ErrorCode::kInvalidArgument, "the state of another step is still being read");
  reserve();
  places_.assign(pieces_, Place::kLive);
  reading_ = true;
  cancelled_ = false;
  read_ = first_ = 0;
  last_ = live_ = pieces_;
  most_aside_ = most_aside;
  statistics_ = {};
  changed_.notify_all();
}

void StateCopy::copy(std::size_t piece, std::byte* to) const {
  std::size_t begin = piece * piece_bytes_;
  const std::size_t end = begin + bytes_of(piece);
  auto part =
      static_cast<std::size_t>(std::upper_bound(part_ends_.begin(), part_ends_.end(), begin) - part_ends_.begin());
  for (; begin < end; ++part) {
    const std::size_t bytes = std::min(end, part_ends_[part]) - begin;
    if (bytes == 0) continue;
    std::memcpy(to, parts_[part].data() + (begin + parts_[part].size() - part_ends_[part]), bytes);
    to += bytes;
    begin += bytes;
  }
}

// Without the lock while it copies.
void StateCopy::copy_aside(Lock& lock, std::size_t piece) {
  places_[piece] = Place::kCopying;
  --live_;
  ++copying_;
  ++pieces_aside_;
  lock.unlock();
  const Clock::time_point start = Clock::now();
  copy(piece, aside(piece));
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  lock.lock();
  seconds_per_byte_ += (seconds / static_cast<double>(bytes_of(piece)) - seconds_per_byte_) / 8;
  places_[piece] = Place::kAside;
  --copying_;
  changed_.notify_all();
}

void StateCopy::let_go(std::size_t piece) const noexcept { ::madvise(aside(piece), piece_bytes_, MADV_DONTNEED); }

std::optional<std::size_t> StateCopy::first_live() {
  while (first_ < last_ && places_[first_] != Place::kLive) ++first_;
  return first_ < last_ ? std::optional(first_) : std::nullopt;
}

std::optional<std::size_t> StateCopy::last_live() {
  while (first_ < last_ && places_[last_ - 1] != Place::kLive) --last_;
  return first_ < last_ ? std::optional(last_ - 1) : std::nullopt;
}

void StateCopy::before_update() {
  const Clock::time_point start = Clock::now();
  Lock lock(mutex_);
  note_update(start);
  if (live_ == 0 && copying_ == 0) return;
  while (!cancelled_) {
    const std::optional<std::size_t> piece = first_live();
    if (!piece) break;
    if (is_full()) {
      changed_.wait(lock);
      continue;
    }
    statistics_.at_update += bytes_of(*piece);
    copy_aside(lock, *piece);
  }
  changed_.wait(lock, [this] { return copying_ == 0; });
  statistics_.update_waited += Clock::now() - start;
}

std::optional<StateCopy::Bytes> StateCopy::next() {
  Lock lock(mutex_);
  if (borrowed_) {
    const std::size_t piece = *std::exchange(borrowed_, std::nullopt);
    lock.unlock();
    let_go(piece);
    lock.lock();
    --pieces_aside_;
    changed_.notify_all();
  }
  if (!reading_ || cancelled_ || read_ == pieces_) return std::nullopt;
  const std::size_t piece = read_++;
  changed_.wait(lock, [&] { return places_[piece] != Place::kCopying; });
  if (cancelled_) return std::nullopt;
  if (places_[piece] == Place::kAside) {
    places_[piece] = Place::kGone;
    borrowed_ = piece;
    return Bytes(aside(piece), bytes_of(piece));
  }
  places_[piece] = Place::kCopying;
  --live_;
  ++copying_;
  lock.unlock();
  copy(piece, in_hand_.data());
  lock.lock();
  places_[piece] = Place::kGone;
  --copying_;
  changed_.notify_all();
  return Bytes(in_hand_.data(), bytes_of(piece));
}

void StateCopy::end() {
  Lock lock(mutex_);
  cancelled_ = true;
  changed_.notify_all();
  changed_.wait(lock, [this] { return copying_ == 0; });
  if (pieces_aside_ > 0) ::madvise(memory_, memory_bytes_, MADV_DONTNEED);
  pieces_aside_ = live_ = 0;
  borrowed_.reset();
  reading_ = false;
}

void StateCopy::cancel() {
  Lock lock(mutex_);
  cancelled_ = true;
  live_ = 0;
  changed_.notify_all();
  changed_.wait(lock, [this] { return copying_ == 0; });
}

// The shorter one of the last two times between updates: an evaluation makes one long.
void StateCopy::note_update(Clock::time_point now) {
  if (last_update_) interval_before_ = std::exchange(interval_, now - *last_update_);
  last_update_ = now;
}

StateCopy::Clock::time_point StateCopy::time_to_copy() const {
  if (!interval_) return Clock::time_point::min();
  const Clock::duration interval = interval_before_ ? std::min(*interval_, *interval_before_) : *interval_;
  const double left = static_cast<double>(live_ * piece_bytes_) * seconds_per_byte_ * kLeisure;
  const auto after = std::chrono::duration<double>(interval).count() * kCertain - left;
  return *last_update_ + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(after));
}

void StateCopy::copy_ahead(const std::stop_token& stop) {
  Lock lock(mutex_);
  while (changed_.wait(lock, stop, [this] { return reading_ && !cancelled_ && live_ > 0 && !is_full(); })) {
    const Clock::time_point due = time_to_copy();
    if (Clock::now() < due) {
      // The reader takes pieces meanwhile: then there is less to copy, and later.
      changed_.wait_until(lock, stop, due, [] { return false; });
      continue;
    }
    const std::size_t piece = *last_live();
    statistics_.ahead += bytes_of(piece);
    copy_aside(lock, piece);
  }
}

StateCopy::Statistics StateCopy::statistics() const {
  const Lock lock(mutex_);
  return statistics_;
}

}  // namespace convoy::worker
