// Where the bytes of the state lie: one tensor after the other in the order of Replica::state(), and so in the files of
// a checkpoint. How they are cut into shares, one for each worker that writes, and into chunks, which are what is
// hashed: a tensor, or the part of one that lies in a share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/tensor/spec.h"
#include "worker/pieces.h"
#include "worker/replica.h"

namespace convoy::worker {

// Bytes of the state, counted from its beginning.
struct StateRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t bytes() const { return end - begin; }
  bool operator==(const StateRange&) const = default;
};

class StateLayout {
 public:
  struct Placed {
    std::string name;
    Spec spec;
    bool is_parameter = false;
    std::size_t file = 0;          // in files()
    StateRange range;              // in the state
    std::int64_t file_offset = 0;  // where it begins in its file
    const std::byte* memory = nullptr;
  };
  struct File {
    std::string name;
    std::string header;      // what stands before the first tensor
    std::int64_t bytes = 0;  // all of it
    StateRange range;        // of the state, that it holds
  };
  struct Chunk {
    std::size_t tensor = 0;  // in tensors()
    StateRange range;        // in the state
  };

  explicit StateLayout(const std::vector<StateTensor>& state);

  const std::vector<Placed>& tensors() const { return tensors_; }
  const std::vector<File>& files() const { return files_; }
  StateRange all() const { return {0, bytes_}; }

  // What lies in the range, tensor by tensor.
  std::vector<Chunk> chunks(const StateRange& range) const;
  std::int64_t file_offset(const Chunk& chunk) const;
  // Where these bytes lie in memory. They are read only while nobody writes them.
  Parts memory(const StateRange& range) const;

  // One share for each of at most `writers` workers, of about the same size: none is so small that it is not worth the
  // while, and no two have a page of a file in common. The first worker has the last share: who commits hashes what the
  // others write before it writes itself.
  std::vector<StateRange> shares(std::size_t writers) const;

 private:
  std::int64_t begin_of_page(std::int64_t at) const;

  std::vector<Placed> tensors_;
  std::vector<File> files_;
  std::int64_t bytes_ = 0;
};

}  // namespace convoy::worker
