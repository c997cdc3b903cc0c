#include "distributed/leaf_set.h"

#include <algorithm>
#include <bit>

#include "core/base/error.h"

namespace convoy::distributed {
namespace {

std::size_t byte_of(std::int32_t leaf) { return static_cast<std::size_t>(leaf) / 8; }
std::byte bit_of(std::int32_t leaf) { return std::byte{1} << (leaf % 8); }

}  // namespace

LeafSet::LeafSet(std::int32_t leaves) : leaves_(leaves) {
  if (leaves < 0 || leaves > kMostLeaves)
    fail(ErrorCode::kInvalidArgument, "a set out of {} leaves: expected 0 to {}", leaves, kMostLeaves);
  bits_.resize(byte_size(leaves));
}

LeafSet::LeafSet(std::int32_t leaves, std::span<const std::byte> bytes) : LeafSet(leaves) {
  if (bytes.size() != bits_.size())
    fail(ErrorCode::kInvalidArgument, "a set out of {} leaves in {} bytes: expected {}", leaves, bytes.size(),
         bits_.size());
  std::ranges::copy(bytes, bits_.begin());
  if (leaves % 8 != 0 && (bits_.back() >> (leaves % 8)) != std::byte{0})
    fail(ErrorCode::kInvalidArgument, "a set out of {} leaves has a leaf beyond them", leaves);
}

std::int32_t LeafSet::count() const {
  std::int32_t count = 0;
  for (const std::byte byte : bits_) count += std::popcount(std::to_integer<unsigned>(byte));
  return count;
}

void LeafSet::check(std::int32_t leaf) const {
  if (leaf < 0 || leaf >= leaves_) fail(ErrorCode::kInvalidArgument, "there is no leaf {} among {}", leaf, leaves_);
}

void LeafSet::check(const LeafSet& other) const {
  if (other.leaves_ != leaves_)
    fail(ErrorCode::kInvalidArgument, "sets out of {} and of {} leaves", leaves_, other.leaves_);
}

bool LeafSet::contains(std::int32_t leaf) const {
  check(leaf);
  return (bits_[byte_of(leaf)] & bit_of(leaf)) != std::byte{0};
}

void LeafSet::insert(std::int32_t leaf) {
  check(leaf);
  bits_[byte_of(leaf)] |= bit_of(leaf);
}

void LeafSet::insert(const Subtree& node) {
  for (std::int32_t leaf = node.begin; leaf < node.end; ++leaf) insert(leaf);
}

void LeafSet::insert(const LeafSet& other) {
  check(other);
  for (std::size_t i = 0; i < bits_.size(); ++i) bits_[i] |= other.bits_[i];
}

bool LeafSet::overlaps(const LeafSet& other) const {
  check(other);
  std::byte common{0};
  for (std::size_t i = 0; i < bits_.size(); ++i) common |= bits_[i] & other.bits_[i];
  return common != std::byte{0};
}

bool LeafSet::is(const Subtree& node) const {
  if (count() != node.end - node.begin) return false;
  for (std::int32_t leaf = node.begin; leaf < node.end; ++leaf)
    if (!contains(leaf)) return false;
  return true;
}

void LeafSet::clear() { std::ranges::fill(bits_, std::byte{0}); }

std::vector<std::int32_t> LeafSet::members() const {
  std::vector<std::int32_t> members;
  visit([&](std::int32_t leaf) { members.push_back(leaf); });
  return members;
}

}  // namespace convoy::distributed
