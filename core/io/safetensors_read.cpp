#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "core/base/error.h"
#include "core/io/safetensors.h"
#include "core/io/safetensors_dtype.h"

namespace convoy {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kLongestHeader = 100'000'000;  // as in the format's reference implementation

// Parses the header. Of keys that are given twice JSON readers keep any one: here they are an error.
Json parse_json(std::string_view text, const std::string& path) {
  std::set<std::string> keys;
  std::string twice;
  const auto watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::key && depth == 1 && !keys.insert(parsed.get<std::string>()).second) {
      twice = parsed.get<std::string>();
    }
    return true;
  };
  Json header = Json::parse(text, watch, /*allow_exceptions=*/false);
  if (!header.is_object()) fail(ErrorCode::kDataLoss, "{}: its header is not a JSON object", path);
  if (!twice.empty()) fail(ErrorCode::kDataLoss, "{}: two tensors are named \"{}\"", path, twice);
  return header;
}

// A list of integers ≥ 0.
std::optional<std::vector<std::uint64_t>> unsigned_list(const Json& object, const char* key) {
  const auto list = object.find(key);
  if (list == object.end() || !list->is_array()) return std::nullopt;
  const bool whole = std::all_of(list->begin(), list->end(), [](const Json& n) { return n.is_number_unsigned(); });
  if (!whole) return std::nullopt;
  return list->get<std::vector<std::uint64_t>>();
}

// The bytes of a tensor; nothing if they do not fit into 63 bits.
std::optional<std::uint64_t> bytes_of(DType dtype, const std::vector<std::uint64_t>& shape) {
  std::uint64_t bytes = size_of(dtype);
  for (const std::uint64_t extent : shape) {
    if (__builtin_mul_overflow(bytes, extent, &bytes) || bytes > INT64_MAX || extent > INT64_MAX) return std::nullopt;
  }
  return bytes;
}

Metadata parse_metadata(const Json& value, const std::string& path) {
  const bool texts =
      value.is_object() && std::all_of(value.begin(), value.end(), [](const Json& text) { return text.is_string(); });
  if (!texts) fail(ErrorCode::kDataLoss, "{}: __metadata__ is not a map of strings", path);
  return value.get<Metadata>();
}

struct Description {
  Spec spec;
  std::uint64_t begin;
  std::uint64_t end;
};

// One tensor's part of the header; `where` names file and tensor.
Description parse_tensor(const Json& value, std::uint64_t data_size, const std::string& where) {
  const auto type = value.is_object() ? value.find("dtype") : value.end();
  const auto dtype =
      type != value.end() && type->is_string() ? safetensors_dtype(type->get<std::string>()) : std::nullopt;
  if (!dtype) fail(ErrorCode::kDataLoss, "{}: its dtype is not one of F32, F64, I32, I64, BF16", where);
  const auto shape = unsigned_list(value, "shape");
  if (!shape) fail(ErrorCode::kDataLoss, "{}: its shape is not a list of integers >= 0", where);
  if (shape->size() > Shape::kMaxRank) {
    fail(ErrorCode::kDataLoss, "{}: its rank is {}; expected at most {}", where, shape->size(), Shape::kMaxRank);
  }
  const auto bytes = bytes_of(*dtype, *shape);
  if (!bytes) fail(ErrorCode::kDataLoss, "{}: its shape is too large", where);
  const auto offsets = unsigned_list(value, "data_offsets");
  if (!offsets || offsets->size() != 2) {
    fail(ErrorCode::kDataLoss, "{}: its data_offsets are not two integers >= 0", where);
  }
  const std::uint64_t begin = (*offsets)[0];
  const std::uint64_t end = (*offsets)[1];
  if (begin > end || end > data_size) {
    fail(ErrorCode::kDataLoss, "{}: its data_offsets [{}, {}] lie outside the {} bytes of data", where, begin, end,
         data_size);
  }
  if (end - begin != *bytes) {
    fail(ErrorCode::kDataLoss, "{}: its data_offsets span {} bytes, its dtype and shape need {}", where, end - begin,
         *bytes);
  }
  const std::vector<std::int64_t> extents(shape->begin(), shape->end());
  return {{*dtype, Shape(std::span(extents)), nullptr}, begin, end};
}

}  // namespace

SafetensorsFile::SafetensorsFile(std::string path) : path_(std::move(path)), file_(path_, ErrorCode::kDataLoss) {
  const std::string_view bytes = file_.bytes();
  if (bytes.size() < kLengthBytes) {
    fail(ErrorCode::kDataLoss, "{}: holds {} bytes; a safetensors file has at least 8", path_, bytes.size());
  }
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), kLengthBytes);
  if (length > kLongestHeader || length > bytes.size() - kLengthBytes) {
    fail(ErrorCode::kDataLoss, "{}: announces a header of {} bytes, but holds {} bytes in all", path_, length,
         bytes.size());
  }
  data_begin_ = kLengthBytes + length;
  parse(bytes.substr(kLengthBytes, length));
  check_layout();
}

void SafetensorsFile::parse(std::string_view text) {
  const Json header = parse_json(text, path_);
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") {
      metadata_ = parse_metadata(value, path_);
    } else {
      const Description tensor = parse_tensor(value, data().size(), fmt::format("{}: tensor \"{}\"", path_, name));
      entries_[name] = {tensor.spec, tensor.begin, tensor.end};
    }
  }
}

// The format allows neither overlaps nor holes.
void SafetensorsFile::check_layout() const {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
  for (const auto& [name, tensor] : entries_) ranges.emplace_back(tensor.begin, tensor.end);
  std::sort(ranges.begin(), ranges.end());
  std::uint64_t expected = 0;
  for (const auto& [begin, end] : ranges) {
    if (begin != expected) {
      fail(ErrorCode::kDataLoss, "{}: data {} at byte {}", path_, begin < expected ? "overlaps" : "has a hole",
           std::min(begin, expected));
    }
    expected = end;
  }
  if (expected != data().size()) {
    fail(ErrorCode::kDataLoss, "{}: holds {} bytes of data, its tensors need {}", path_, data().size(), expected);
  }
}

std::string_view SafetensorsFile::data() const { return file_.bytes().substr(data_begin_); }

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : entries_) names.push_back(name);
  return names;
}

const SafetensorsFile::Entry& SafetensorsFile::entry(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) fail(ErrorCode::kDataLoss, "{}: holds no tensor \"{}\"", path_, name);
  return found->second;
}

Spec SafetensorsFile::spec(const std::string& name) const { return entry(name).spec; }

Tensor SafetensorsFile::read(const std::string& name, Device& device) const {
  const Entry& from = entry(name);
  Spec spec = from.spec;
  spec.device = &device;
  Tensor tensor = Tensor::empty(spec);
  const std::string_view bytes = data().substr(from.begin, from.end - from.begin);
  if (!bytes.empty()) std::memcpy(tensor.raw(), bytes.data(), bytes.size());
  file_.forget(bytes);
  return tensor;
}

void SafetensorsFile::read_into(const std::string& name, const Tensor& tensor) const {
  const Spec& from = entry(name).spec;
  if (from.dtype != tensor.dtype() || from.shape != tensor.shape()) {
    fail(ErrorCode::kDataLoss, "{}: tensor \"{}\" is {}; expected {}", path_, name, from.to_string(),
         tensor.spec().to_string());
  }
  copy_elements(read(name, tensor.device()), tensor);
}

}  // namespace convoy
