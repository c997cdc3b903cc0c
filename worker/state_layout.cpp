#include "worker/state_layout.h"

#include <algorithm>
#include <utility>

#include "core/io/safetensors.h"

namespace convoy::worker {
namespace {

constexpr std::int64_t kLeastShare = std::int64_t{64} << 10;
// Shares are cut at multiples of this in the files: hosts that write the same page of a file on a network file system
// may write each other's part of it, as it was when they read it.
constexpr std::int64_t kPage = 4096;

}  // namespace

StateLayout::StateLayout(const std::vector<StateTensor>& state) {
  for (std::size_t next = 0; next < state.size();) {
    File file{.name = state[next].file, .header = {}, .bytes = 0, .range = {bytes_, bytes_}};
    std::vector<NamedSpec> specs;
    const std::size_t first = next;
    for (; next < state.size() && state[next].file == file.name; ++next)
      specs.push_back({state[next].name, state[next].tensor.spec()});
    file.header = safetensors_header(file.name, specs);
    file.bytes = static_cast<std::int64_t>(file.header.size());
    for (std::size_t i = first; i < next; ++i) {
      const auto bytes = static_cast<std::int64_t>(state[i].tensor.spec().bytes());
      tensors_.push_back({.name = state[i].name,
                          .spec = state[i].tensor.spec(),
                          .is_parameter = state[i].is_parameter,
                          .file = files_.size(),
                          .range = {bytes_, bytes_ + bytes},
                          .file_offset = file.bytes,
                          .memory = static_cast<const std::byte*>(state[i].tensor.raw())});
      bytes_ += bytes;
      file.bytes += bytes;
    }
    file.range.end = bytes_;
    files_.push_back(std::move(file));
  }
}

// The byte of the state with which the page begins that this one lies in.
std::int64_t StateLayout::begin_of_page(std::int64_t at) const {
  const File& file = *std::ranges::find_if(files_, [&](const File& candidate) { return at < candidate.range.end; });
  const std::int64_t in_page = (static_cast<std::int64_t>(file.header.size()) + at - file.range.begin) % kPage;
  return std::max(file.range.begin, at - in_page);
}

std::vector<StateLayout::Chunk> StateLayout::chunks(const StateRange& range) const {
  std::vector<Chunk> chunks;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const StateRange common{std::max(range.begin, tensors_[i].range.begin), std::min(range.end, tensors_[i].range.end)};
    if (common.bytes() > 0) chunks.push_back({.tensor = i, .range = common});
  }
  return chunks;
}

std::int64_t StateLayout::file_offset(const Chunk& chunk) const {
  const Placed& tensor = tensors_[chunk.tensor];
  return tensor.file_offset + chunk.range.begin - tensor.range.begin;
}

Parts StateLayout::memory(const StateRange& range) const {
  Parts parts;
  for (const Chunk& chunk : chunks(range)) {
    const Placed& tensor = tensors_[chunk.tensor];
    parts.push_back(
        {tensor.memory + (chunk.range.begin - tensor.range.begin), static_cast<std::size_t>(chunk.range.bytes())});
  }
  return parts;
}

std::vector<StateRange> StateLayout::shares(std::size_t writers) const {
  const std::int64_t count =
      std::max<std::int64_t>(1, std::min(static_cast<std::int64_t>(writers), bytes_ / kLeastShare));
  const auto cut = [&](std::int64_t i) { return i == count ? bytes_ : begin_of_page(bytes_ / count * i); };
  std::vector<StateRange> shares{{cut(count - 1), bytes_}};
  for (std::int64_t i = 1; i < count; ++i) shares.push_back({cut(i - 1), cut(i)});
  return shares;
}

}  // namespace convoy::worker
