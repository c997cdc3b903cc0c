#include "worker/share.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/base/error.h"

namespace convoy::worker {
namespace {

using Json = nlohmann::ordered_json;
using Chunk = StateLayout::Chunk;

constexpr int kSchema = 1;
constexpr std::size_t kFloat = sizeof(float);  // all of the state is f32

std::string title(const Json& chunk) {
  const std::int64_t offset = chunk.at("offset");
  return fmt::format("elements {} to {} of {}", offset, offset + chunk.at("elements").get<std::int64_t>(),
                     chunk.at("tensor").get<std::string>());
}

}  // namespace

ChunkHashes::ChunkHashes(std::vector<Chunk> chunks) : chunks_(std::move(chunks)) { hashes_.reserve(chunks_.size()); }

void ChunkHashes::update(std::span<const std::byte> bytes, const OnPart& on_part) {
  while (!bytes.empty()) {
    const Chunk& chunk = chunks_.at(hashes_.size());
    if (!hasher_) {
      hasher_.emplace();
      left_ = chunk.range.bytes();
    }
    const auto part = bytes.first(std::min(bytes.size(), static_cast<std::size_t>(left_)));
    hasher_->update(part);
    if (on_part) on_part(chunk, part);
    left_ -= static_cast<std::int64_t>(part.size());
    bytes = bytes.subspan(part.size());
    if (left_ > 0) continue;
    hashes_.push_back(hasher_->hex());
    hasher_.reset();
  }
}

ShareWriter::ShareWriter(const StateLayout& layout, const StateRange& share, std::string folder)
    : layout_(layout), folder_(std::move(folder)), written_(layout.chunks(share)) {}

void ShareWriter::write(std::span<const std::byte> bytes, const ChunkHashes::OnPart& on_part) {
  written_.update(bytes, [&](const Chunk& chunk, std::span<const std::byte> part) {
    const std::string path = folder_ + "/" + layout_.files()[layout_.tensors()[chunk.tensor].file].name;
    // The chunks of a file follow each other in it.
    if (ranges_.empty() || ranges_.back().path() != path) ranges_.emplace_back(path, layout_.file_offset(chunk));
    ranges_.back().write(part);
    if (on_part) on_part(chunk, part);
  });
}

void ShareWriter::finish(const std::function<void()>& between_pieces) {
  for (FileRange& range : ranges_) range.flush();
  ChunkHashes read(written_.chunks());
  for (const FileRange& range : ranges_) {
    range.read_back([&](std::span<const std::byte> piece) {
      read.update(piece);
      between_pieces();
    });
  }
  const auto [found, expected] = std::ranges::mismatch(read.hashes(), written_.hashes());
  if (found == read.hashes().end()) return;
  const std::size_t chunk = static_cast<std::size_t>(found - read.hashes().begin());
  const StateLayout::Placed& tensor = layout_.tensors()[written_.chunks()[chunk].tensor];
  fail(ErrorCode::kDataLoss, "{}/{}: {} does not read back as it was written", folder_,
       layout_.files()[tensor.file].name, tensor.name);
}

std::string share_report(const StateLayout& layout, const ChunkHashes& chunks) {
  Json list = Json::array();
  for (std::size_t i = 0; i < chunks.hashes().size(); ++i) {
    const StateRange& range = chunks.chunks()[i].range;
    const StateLayout::Placed& tensor = layout.tensors()[chunks.chunks()[i].tensor];
    Json shape = Json::array();
    for (const std::int64_t extent : tensor.spec.shape) shape.push_back(extent);
    list.push_back({{"tensor", tensor.name},
                    {"shape", std::move(shape)},
                    {"offset", (range.begin - tensor.range.begin) / static_cast<std::int64_t>(kFloat)},
                    {"elements", range.bytes() / static_cast<std::int64_t>(kFloat)},
                    {"xxh3_128", chunks.hashes()[i]}});
  }
  return Json{{"schema", kSchema}, {"chunks", std::move(list)}}.dump() + "\n";
}

std::string failed_share_report(const std::string& reason) {
  return Json{{"schema", kSchema}, {"failed", reason}}.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string describe_difference(const std::string& report, const std::string& expected) {
  const Json said = Json::parse(report, nullptr, /*allow_exceptions=*/false);
  const Json wanted = Json::parse(expected);
  try {
    if (said.contains("failed")) return said.at("failed");
    const Json& chunks = wanted.at("chunks");
    for (std::size_t i = 0; i < chunks.size(); ++i) {
      if (said.at("chunks").at(i) != chunks[i]) return title(chunks[i]) + ": what it wrote is not what this worker has";
    }
  } catch (const Json::exception&) {  // neither
  }
  return "its report is not one";
}

}  // namespace convoy::worker
