#include "distributed/local/segment.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cstring>

#include "core/base/error.h"
#include "distributed/pages.h"

namespace convoy::distributed {
namespace {

PeerSegment peer_of(Segment& segment) { return PeerSegment(UniqueFd(dup(segment.fd()))); }

TEST(SegmentTest, PeersReadWhatTheOwnerWrites) {
  Segment segment({.arena_bytes = 1 << 20});
  const PeerSegment peer = peer_of(segment);
  std::memcpy(segment.arena().data() + 100, "gradients", 10);
  EXPECT_STREQ(reinterpret_cast<const char*>(peer.at(segment.offset_of(segment.arena().data() + 100), 10)),
               "gradients");
  segment.header().sequence.store(42);
  EXPECT_EQ(peer.header().sequence.load(), 42U);
}

TEST(SegmentTest, APeersMappingOutlivesTheOwner) {
  std::uint64_t offset = 0;
  auto segment = std::make_unique<Segment>(SegmentOptions{.arena_bytes = 1 << 20});
  offset = segment->offset_of(segment->arena().data());
  segment->arena()[0] = std::byte{7};
  const PeerSegment peer = peer_of(*segment);
  segment.reset();
  EXPECT_EQ(*peer.at(offset, 1), std::byte{7});
}

TEST(SegmentTest, PeersCanNeitherWriteNorResizeIt) {
  Segment segment({.arena_bytes = 1 << 20});
  EXPECT_EQ(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, segment.fd(), 0), MAP_FAILED);
  EXPECT_NE(ftruncate(segment.fd(), 4096), 0);
}

TEST(SegmentTest, TheArenaHoldsWhatWasAskedForAndKnowsItsOwn) {
  Segment segment({.arena_bytes = 3'000'000, .staging_bytes = 10'000});
  EXPECT_GE(segment.arena().size(), 3'000'000U);
  EXPECT_GE(segment.staging().size(), 10'000U);
  std::byte* const begin = segment.arena().data();
  const std::size_t bytes = segment.arena().size();
  EXPECT_TRUE(segment.in_arena(begin, bytes));
  EXPECT_TRUE(segment.in_arena(begin + bytes, 0));
  EXPECT_FALSE(segment.in_arena(begin + 1, bytes));
  EXPECT_FALSE(segment.in_arena(segment.staging().data(), 1));
  EXPECT_FALSE(segment.in_arena(&segment, 1));
}

TEST(SegmentTest, WhatLiesOutsideASegmentIsNotRead) {
  Segment segment({});
  const PeerSegment peer = peer_of(segment);
  EXPECT_THROW(peer.at(1ULL << 40, 1), Error);
  EXPECT_THROW(peer.at(0, 1ULL << 40), Error);
  EXPECT_THROW(peer.at(~0ULL, 2), Error);
}

std::int64_t allocated_bytes(const Segment& segment) {
  struct stat status {};
  EXPECT_EQ(fstat(segment.fd(), &status), 0);
  return static_cast<std::int64_t>(status.st_blocks) * 512;
}

TEST(SegmentTest, TheArenaTakesMemoryWhenItIsCommitted) {
  Segment segment({.arena_bytes = 64ULL << 30});
  const PeerSegment peer = peer_of(segment);
  const std::int64_t before = allocated_bytes(segment);
  EXPECT_LT(before, 16 << 20);
  segment.commit((32ULL << 30) + 100, 8 << 20);
  EXPECT_GE(allocated_bytes(segment), before + (8 << 20));
  EXPECT_LT(allocated_bytes(segment), before + (16 << 20));
  std::byte* const begin = segment.arena().data() + (32ULL << 30) + 100;
  EXPECT_EQ(*begin, std::byte{0});
  *begin = std::byte{7};
  segment.commit(32ULL << 30, 8 << 20);
  EXPECT_EQ(*peer.at(segment.offset_of(begin), 1), std::byte{7}) << "what was there already stays";
  EXPECT_THROW(segment.commit(64ULL << 30, 1), Error);
}

TEST(SegmentTest, WhatIsGivenBackIsNoMemoryForPeersEither) {
  Segment segment({.arena_bytes = 8 << 20});
  const PeerSegment peer = peer_of(segment);
  const std::int64_t before = allocated_bytes(segment);
  segment.commit(0, 8 << 20);
  std::byte* const inside = segment.arena().data() + (3 << 20);
  *inside = std::byte{7};
  EXPECT_EQ(*peer.at(segment.offset_of(inside), 1), std::byte{7});
  ASSERT_TRUE(give_back(segment.arena()));
  EXPECT_EQ(allocated_bytes(segment), before);
  EXPECT_EQ(*peer.at(segment.offset_of(inside), 1), std::byte{0});
  segment.commit(0, 8 << 20);
  *inside = std::byte{8};
  EXPECT_EQ(*peer.at(segment.offset_of(inside), 1), std::byte{8});
}

TEST(SegmentTest, MoreMemoryThanThereIsIsRefusedInOneLine) {
  const auto refused = [](std::size_t arena_bytes) {
    try {
      Segment segment({.arena_bytes = arena_bytes});
      segment.commit(0, arena_bytes);
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
      EXPECT_NE(std::string_view(error.what()).find("MiB"), std::string_view::npos) << error.what();
    }
  };
  refused(1ULL << 50);  // more than can be addressed
  refused(1ULL << 43);  // more than there is
}

TEST(SegmentTest, AnUnsealedDescriptorIsNoSegment) {
  UniqueFd fd(memfd_create("stranger", MFD_CLOEXEC));
  ASSERT_EQ(ftruncate(fd.get(), 1 << 20), 0);
  EXPECT_THROW(PeerSegment peer(std::move(fd)), Error);
}

}  // namespace
}  // namespace convoy::distributed
