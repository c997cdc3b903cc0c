// The shared memory of one worker: written by its owner alone, mapped read-only by the peers on its host.
//
// A memfd that travels over Unix sockets: it has no name, needs no /dev/shm and is gone with its last user. The worker
// owns it for as long as it lives; communicators of successive epochs use it one after the other. Its arena is where
// the worker keeps its gradients, so that peers pull them from where they were computed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "core/base/unique_fd.h"
#include "distributed/local/futex.h"

namespace convoy::distributed {

inline constexpr std::int32_t kMaxLocalRanks = 256;

// One block of bytes in the announcer's segment: `bytes` of it can be read now, out of `total`.
struct Block {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  std::uint64_t total = 0;
};

// What a rank says in one round of a collective. Two of them alternate, so that a slow reader of one round is not
// disturbed by the next.
struct alignas(64) Announcement {
  std::uint32_t operation = 0;
  std::uint32_t detail = 0;  // of the operation; equal on all ranks
  std::uint64_t check = 0;   // bytes of the operation, where all ranks must give the same
  std::uint32_t pieces = 0;  // rounds that the announcer needs
  std::uint64_t place = 0;   // bytes of a block in one piece, the last excepted
  bool in_arena = false;     // the blocks lie in the arena and are whole: they must be read before the last round
  bool common = false;       // blocks[0] is for everyone, else blocks[r] is for rank r
  Block blocks[kMaxLocalRanks];
};

// A message of this worker for one peer, and what it has taken of that peer's messages. Counters run on across epochs.
struct alignas(64) Channel {
  Word sent{0};
  Word received{0};
  Block block;
};

// Sequence and channel counters are stored with release order after what they announce, and run on across epochs:
// they are compared relative to the values told at the rendezvous.
struct SegmentHeader {
  alignas(64) Word sequence{0};  // rounds announced
  alignas(64) Word sleeping{0};  // the owner sleeps on a peer's word: changing one must be followed by a wake-up
  Announcement announcements[2];
  Channel channels[kMaxLocalRanks];
};

struct SegmentOptions {
  std::size_t arena_bytes = 0;
  std::size_t staging_bytes = 2 << 20;  // where what lies outside the arena is put for the peers, piece by piece
};

class Segment {
 public:
  // The arena is address space without memory until it is committed; the rest is allocated at once. Throws
  // Error(kUnavailable) when there is not enough.
  explicit Segment(const SegmentOptions& options);
  ~Segment();
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  std::span<std::byte> arena() { return {base_ + arena_offset_, bytes_ - arena_offset_}; }
  // Allocates zeroed memory for a part of the arena, in whole pages; what has been allocated stays as it is. Throws
  // Error(kUnavailable) when there is not enough.
  void commit(std::size_t offset, std::size_t bytes);
  std::span<std::byte> staging() { return {base_ + staging_offset_, arena_offset_ - staging_offset_}; }
  SegmentHeader& header() { return *header_; }
  // To be sent to peers, who can map it, and only to read.
  int fd() const { return for_peers_.get(); }

  std::uint64_t offset_of(const std::byte* inside) const { return static_cast<std::uint64_t>(inside - base_); }
  const std::byte* at(std::uint64_t offset) const { return base_ + offset; }
  // Whether [data, data + bytes) lies in the arena.
  bool in_arena(const void* data, std::size_t bytes) const;

 private:
  // Of bytes [begin, begin + bytes) of the whole.
  void allocate(std::size_t begin, std::size_t bytes);

  UniqueFd fd_;
  UniqueFd for_peers_;
  std::byte* base_ = nullptr;
  std::size_t bytes_ = 0;
  std::size_t staging_offset_ = 0;
  std::size_t arena_offset_ = 0;
  SegmentHeader* header_ = nullptr;
};

// A peer's segment. The mapping outlives the peer.
class PeerSegment {
 public:
  // Throws Error(kUnavailable) if the descriptor is not a sealed segment.
  explicit PeerSegment(UniqueFd fd);
  ~PeerSegment();
  PeerSegment(PeerSegment&& other) noexcept;
  PeerSegment& operator=(PeerSegment&&) = delete;

  const SegmentHeader& header() const { return *reinterpret_cast<const SegmentHeader*>(base_); }
  // Throws Error(kInternal) unless the bytes lie in the segment.
  const std::byte* at(std::uint64_t offset, std::uint64_t bytes) const;

 private:
  const std::byte* base_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace convoy::distributed
