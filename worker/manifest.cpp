#include "worker/manifest.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/base/mapped_file.h"

namespace convoy::worker {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kSchema = 1;
constexpr char kOwnHash[] = "manifest_hash";

Json file_entry(const std::string& name, const WrittenFile& written) {
  return {{"name", name}, {"bytes", written.bytes}, {"xxh3_128", written.hash}};
}

// The hash of everything but itself.
std::string hash_of(const Json& manifest) { return describe(manifest.dump()).hash; }

MappedFile open_part(const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) fail(ErrorCode::kDataLoss, "{}: is missing", path);
  return MappedFile(path, ErrorCode::kDataLoss);
}

// Without keeping the whole of a large file in memory.
std::string hash_of(const MappedFile& file) {
  constexpr std::size_t kPiece = std::size_t{8} << 20;
  Xxh3Hasher128 hasher;
  for (std::size_t begin = 0; begin < file.bytes().size(); begin += kPiece) {
    const std::string_view piece = file.bytes().substr(begin, kPiece);
    hasher.update(std::as_bytes(std::span(piece)));
    file.forget(piece);
  }
  return hasher.hex();
}

Ballot parse_ballot(const std::string& text) {
  Ballot ballot;
  const char* end = text.data() + text.size();
  const auto dot = std::from_chars(text.data(), end, ballot.term).ptr;
  if (dot != end) std::from_chars(dot + 1, end, ballot.attempt);
  return ballot;
}

Manifest from_json(const Json& json) {
  Manifest manifest{.step = json.at("step"),
                    .ballot = parse_ballot(json.at("ballot")),
                    .world = json.at("world"),
                    .loss = json.at("loss").is_null() ? std::nan("") : json.at("loss").get<double>(),
                    .evaluated = json.at("evaluated"),
                    .parameters_hash = json.at("parameters_hash"),
                    .state_hash = json.at("state_hash"),
                    .data_digest = json.at("data_digest"),
                    .build = json.at("build"),
                    .files = {}};
  for (const Json& entry : json.at("files"))
    manifest.files.emplace_back(entry.at("name"),
                                WrittenFile{.bytes = entry.at("bytes"), .hash = entry.at("xxh3_128")});
  return manifest;
}

}  // namespace

WrittenFile describe(std::string_view contents) {
  Xxh3Hasher128 hasher;
  hasher.update(std::as_bytes(std::span(contents)));
  return {.bytes = static_cast<std::int64_t>(contents.size()), .hash = hasher.hex()};
}

std::string to_json(const Manifest& manifest) {
  Json files = Json::array();
  for (const auto& [name, written] : manifest.files) files.push_back(file_entry(name, written));
  Json json = {{"schema", kSchema},
               {"step", manifest.step},
               {"ballot", manifest.ballot.to_string()},
               {"world", manifest.world},
               {"loss", manifest.loss},
               {"evaluated", manifest.evaluated},
               {"parameters_hash", manifest.parameters_hash},
               {"state_hash", manifest.state_hash},
               {"data_digest", manifest.data_digest},
               {"build", manifest.build},
               {"files", std::move(files)}};
  const std::string own_hash = hash_of(json);
  json[kOwnHash] = own_hash;
  return json.dump(2) + "\n";
}

Manifest read_manifest(const std::string& checkpoint) {
  const std::string path = checkpoint + "/" + kManifestFile;
  const MappedFile file = open_part(path);
  Json json = Json::parse(file.bytes(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("schema"))
    fail(ErrorCode::kDataLoss, "{}: expected a checkpoint's manifest", path);
  if (json.at("schema") != kSchema)
    fail(ErrorCode::kDataLoss, "{}: expected schema {}, found {}", path, kSchema, json.at("schema").dump());
  try {
    const std::string own_hash = json.at(kOwnHash);
    json.erase(kOwnHash);
    if (hash_of(json) != own_hash) fail(ErrorCode::kDataLoss, "{}: was changed since it was written", path);
    return from_json(json);
  } catch (const Json::exception&) {
    fail(ErrorCode::kDataLoss, "{}: expected a checkpoint's manifest", path);
  }
}

void check_contents(const std::string& path, const WrittenFile& found, const WrittenFile& written) {
  if (found.bytes != written.bytes)
    fail(ErrorCode::kDataLoss, "{}: holds {} bytes, {} were written", path, found.bytes, written.bytes);
  if (found.hash != written.hash)
    fail(ErrorCode::kDataLoss, "{}: was changed since it was written (its hash is not the one in {})", path,
         kManifestFile);
}

void verify_file(const std::string& checkpoint, const Manifest& manifest, const std::string& name) {
  const auto entry = std::find_if(manifest.files.begin(), manifest.files.end(),
                                  [&](const auto& candidate) { return candidate.first == name; });
  if (entry == manifest.files.end()) fail(ErrorCode::kDataLoss, "{}/{}: lists no {}", checkpoint, kManifestFile, name);
  const std::string path = checkpoint + "/" + name;
  const MappedFile file = open_part(path);
  const auto bytes = static_cast<std::int64_t>(file.bytes().size());
  // One of another size is not read through.
  const bool reads = bytes == entry->second.bytes;
  check_contents(path, {.bytes = bytes, .hash = reads ? hash_of(file) : std::string()}, entry->second);
}

void verify_files(const std::string& checkpoint, const Manifest& manifest) {
  for (const auto& [name, written] : manifest.files) verify_file(checkpoint, manifest, name);
}

}  // namespace convoy::worker
