// Safetensors files: named tensors behind a JSON header, as other frameworks read and write them
// (https://github.com/huggingface/safetensors). Element types: F32, F64, I32, I64, BF16. Tensors lie in host memory.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/base/durable_file.h"
#include "core/base/hash.h"
#include "core/base/mapped_file.h"
#include "core/tensor/tensor.h"

namespace convoy {

struct NamedTensor {
  std::string name;
  Tensor tensor;
};

using Metadata = std::map<std::string, std::string>;

struct WrittenFile {
  std::int64_t bytes = 0;
  std::string hash;  // XXH3-128 of the whole file, 32 hex digits
};

// Writes the tensors, in the order of their names whatever order they come in, durably (core/base/durable_file.h).
// Equal contents give equal bytes. Throws Error(kInvalidArgument) for names that are used twice, empty, reserved or not
// UTF-8, Error(kUnavailable) where the system refuses.
WrittenFile write_safetensors(const std::string& path, std::span<const NamedTensor> tensors,
                              const Metadata& metadata = {});

// What stands in a file's header of a tensor; the device does not count.
struct NamedSpec {
  std::string name;
  Spec spec;
};

// All that stands in such a file before the first tensor's bytes; those follow one tensor after the other. `path`: for
// messages. Throws Error(kInvalidArgument).
std::string safetensors_header(const std::string& path, std::span<const NamedSpec> tensors,
                               const Metadata& metadata = {});

// A file that is written while the tensors' bytes come in. As for DurableFile, nothing stands at `path` before
// commit(). Errors as for write_safetensors().
class SafetensorsWriter {
 public:
  SafetensorsWriter(const std::string& path, std::span<const NamedSpec> tensors, const Metadata& metadata = {},
                    Flushing flushing = Flushing::kAtCommit);

  // The next bytes of the tensors' elements, one tensor after the other in the order in which they were named, wherever
  // the pieces are cut.
  void write(std::span<const std::byte> bytes);
  // Throws Error(kInternal) unless every element was written, and none too many.
  WrittenFile commit();

 private:
  void put(std::string_view bytes);

  std::string path_;
  DurableFile file_;
  Xxh3Hasher128 hasher_;
  std::int64_t bytes_ = 0;  // written
  std::int64_t end_ = 0;    // of a whole file
};

// A file opened for reading. All of the header is checked on opening, so that the data of every tensor is known to be
// there. Throws Error(kDataLoss) that names the file and what is wrong with it.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(std::string path);

  const Metadata& metadata() const { return metadata_; }
  std::vector<std::string> names() const;  // sorted
  bool contains(const std::string& name) const { return entries_.contains(name); }
  Spec spec(const std::string& name) const;  // on no device

  // Copies a tensor out; the second form into one of the same type and shape, any layout.
  Tensor read(const std::string& name, Device& device) const;
  void read_into(const std::string& name, const Tensor& tensor) const;

 private:
  struct Entry {
    Spec spec;
    std::uint64_t begin = 0;  // in data()
    std::uint64_t end = 0;
  };

  const Entry& entry(const std::string& name) const;
  void parse(std::string_view header);
  void check_layout() const;
  std::string_view data() const;

  std::string path_;
  MappedFile file_;
  Metadata metadata_;
  std::map<std::string, Entry> entries_;
  std::uint64_t data_begin_ = 0;
};

}  // namespace convoy
