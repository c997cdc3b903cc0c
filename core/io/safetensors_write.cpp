#include <array>
#include <bit>
#include <nlohmann/json.hpp>

#include "core/base/durable_file.h"
#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/io/safetensors.h"
#include "core/io/safetensors_dtype.h"

namespace convoy {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors data is little-endian");

std::map<std::string, Tensor> by_name(const std::string& path, std::span<const NamedTensor> tensors) {
  std::map<std::string, Tensor> sorted;
  for (const auto& [name, tensor] : tensors) {
    if (name.empty() || name == "__metadata__") {
      fail(ErrorCode::kInvalidArgument, "{}: \"{}\" cannot be the name of a tensor", path, name);
    }
    if (!sorted.emplace(name, tensor).second) {
      fail(ErrorCode::kInvalidArgument, "{}: two tensors are named \"{}\"", path, name);
    }
  }
  return sorted;
}

// The JSON header, filled up with spaces so that the data begins at a multiple of 8 bytes.
std::string make_header(const std::string& path, const std::map<std::string, Tensor>& tensors,
                        const Metadata& metadata) {
  auto header = nlohmann::json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    const std::uint64_t end = offset + tensor.spec().bytes();
    auto shape = nlohmann::json::array();
    for (const std::int64_t extent : tensor.shape()) shape.push_back(extent);
    header[name] = {{"dtype", safetensors_name(tensor.dtype())}, {"shape", shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  try {
    std::string text = header.dump();
    text.append((8 - text.size() % 8) % 8, ' ');
    return text;
  } catch (const nlohmann::json::exception&) {
    fail(ErrorCode::kInvalidArgument, "{}: names and metadata must be UTF-8", path);
  }
}

Tensor contiguous(const Tensor& tensor) {
  if (tensor.is_contiguous()) return tensor;
  Tensor copy = Tensor::empty(tensor.spec());
  copy_elements(tensor, copy);
  return copy;
}

// The file as it is written, with its size and hash.
class HashedFile {
 public:
  explicit HashedFile(const std::string& path) : file_(path) {}

  void write(std::string_view bytes) {
    file_.write(bytes);
    hasher_.update(std::as_bytes(std::span(bytes)));
    bytes_ += static_cast<std::int64_t>(bytes.size());
  }
  WrittenFile commit() {
    file_.commit();
    return {bytes_, hasher_.hex()};
  }

 private:
  DurableFile file_;
  Xxh3Hasher128 hasher_;
  std::int64_t bytes_ = 0;
};

}  // namespace

WrittenFile write_safetensors(const std::string& path, std::span<const NamedTensor> tensors, const Metadata& metadata) {
  const std::map<std::string, Tensor> sorted = by_name(path, tensors);
  const std::string header = make_header(path, sorted, metadata);
  const auto header_size = std::bit_cast<std::array<char, 8>>(static_cast<std::uint64_t>(header.size()));
  HashedFile file(path);
  file.write({header_size.data(), header_size.size()});
  file.write(header);
  for (const auto& [name, tensor] : sorted) {
    const Tensor values = contiguous(tensor);
    file.write({static_cast<const char*>(values.raw()), values.spec().bytes()});
  }
  return file.commit();
}

}  // namespace convoy
