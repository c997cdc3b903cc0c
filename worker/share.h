// A worker's share of a checkpoint: its chunks of the state written into the files, read back, and what it says of
// them to whoever commits.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/hash.h"
#include "worker/file_range.h"
#include "worker/state_layout.h"

namespace convoy::worker {

// Chunks whose bytes come in one after the other, wherever the pieces are cut, and the XXH3-128 of each.
class ChunkHashes {
 public:
  explicit ChunkHashes(std::vector<StateLayout::Chunk> chunks);

  using OnPart = std::function<void(const StateLayout::Chunk&, std::span<const std::byte>)>;
  // Calls on_part(chunk, bytes) for what lies in each.
  void update(std::span<const std::byte> bytes, const OnPart& on_part = {});
  const std::vector<StateLayout::Chunk>& chunks() const { return chunks_; }
  const std::vector<std::string>& hashes() const { return hashes_; }  // of those that are through

 private:
  std::vector<StateLayout::Chunk> chunks_;
  std::vector<std::string> hashes_;
  std::optional<Xxh3Hasher128> hasher_;
  std::int64_t left_ = 0;  // of the chunk under way
};

class ShareWriter {
 public:
  // The files stand in `folder`.
  ShareWriter(const StateLayout& layout, const StateRange& share, std::string folder);

  // The share's next bytes. Throws Error(kUnavailable) naming the file.
  void write(std::span<const std::byte> bytes, const ChunkHashes::OnPart& on_part = {});
  // Waits until they are on the disk and compares what lies there. Throws Error(kDataLoss) naming file and tensor.
  void finish(const std::function<void()>& between_pieces);

  // Of all chunks, once they were written.
  const ChunkHashes& hashes() const { return written_; }

 private:
  const StateLayout& layout_;
  const std::string folder_;
  ChunkHashes written_;
  std::vector<FileRange> ranges_;  // one a file
};

// What stands in a share's report, RUN/checkpoints/.step-N.partial-X/share-R.json, of a share that is on the disk:
// logical tensor, its shape, elements from where, how many, their hash.
std::string share_report(const StateLayout& layout, const ChunkHashes& chunks);
// And of one that will not be.
std::string failed_share_report(const std::string& reason);
// Why a report is not the one that was expected, in a line.
std::string describe_difference(const std::string& report, const std::string& expected);

}  // namespace convoy::worker
