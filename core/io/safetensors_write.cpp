#include <algorithm>
#include <array>
#include <bit>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/io/safetensors.h"
#include "core/io/safetensors_dtype.h"

namespace convoy {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors data is little-endian");

// Filled up with spaces so that the data begins at a multiple of 8 bytes.
std::string json_header(const std::string& path, std::span<const NamedSpec> tensors, const Metadata& metadata) {
  auto header = nlohmann::json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t offset = 0;
  for (const auto& [name, spec] : tensors) {
    if (name.empty() || name == "__metadata__")
      fail(ErrorCode::kInvalidArgument, "{}: \"{}\" cannot be the name of a tensor", path, name);
    if (header.contains(name)) fail(ErrorCode::kInvalidArgument, "{}: two tensors are named \"{}\"", path, name);
    const std::uint64_t end = offset + spec.bytes();
    auto shape = nlohmann::json::array();
    for (const std::int64_t extent : spec.shape) shape.push_back(extent);
    header[name] = {{"dtype", safetensors_name(spec.dtype)}, {"shape", shape}, {"data_offsets", {offset, end}}};
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

}  // namespace

std::string safetensors_header(const std::string& path, std::span<const NamedSpec> tensors, const Metadata& metadata) {
  const std::string json = json_header(path, tensors, metadata);
  const auto size = std::bit_cast<std::array<char, 8>>(static_cast<std::uint64_t>(json.size()));
  return std::string(size.data(), size.size()) + json;
}

SafetensorsWriter::SafetensorsWriter(const std::string& path, std::span<const NamedSpec> tensors,
                                     const Metadata& metadata, Flushing flushing)
    : path_(path), file_(path, 0666, flushing) {
  put(safetensors_header(path, tensors, metadata));
  end_ = bytes_;
  for (const NamedSpec& tensor : tensors) end_ += static_cast<std::int64_t>(tensor.spec.bytes());
}

void SafetensorsWriter::put(std::string_view bytes) {
  hasher_.update(std::as_bytes(std::span(bytes)));
  file_.write(bytes);
  bytes_ += static_cast<std::int64_t>(bytes.size());
}

void SafetensorsWriter::write(std::span<const std::byte> bytes) {
  put({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

WrittenFile SafetensorsWriter::commit() {
  if (bytes_ != end_)
    fail(ErrorCode::kInternal, "{}: {} bytes were written, its header announces {}", path_, bytes_, end_);
  file_.commit();
  return {bytes_, hasher_.hex()};
}

WrittenFile write_safetensors(const std::string& path, std::span<const NamedTensor> tensors, const Metadata& metadata) {
  std::vector<NamedTensor> sorted(tensors.begin(), tensors.end());
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  std::vector<NamedSpec> specs;
  for (const auto& [name, tensor] : sorted) specs.push_back({name, tensor.spec()});
  SafetensorsWriter file(path, specs, metadata);
  for (const auto& [name, tensor] : sorted) {
    const Tensor values = contiguous(tensor);
    file.write(std::as_bytes(std::span(static_cast<const char*>(values.raw()), values.spec().bytes())));
  }
  return file.commit();
}

}  // namespace convoy
