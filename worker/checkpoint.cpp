#include "worker/checkpoint.h"

#include <charconv>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/durable_file.h"
#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/base/mapped_file.h"
#include "core/io/safetensors.h"

namespace convoy::worker {
namespace {

namespace fs = std::filesystem;

constexpr int kManifestSchema = 1;
constexpr std::string_view kStepPrefix = "step-";

constexpr const char* kRecipeFile = "recipe.toml";
constexpr const char* kManifestFile = "manifest.json";

WrittenFile describe(std::string_view contents) {
  Xxh3Hasher128 hasher;
  hasher.update(std::as_bytes(std::span(contents)));
  return {.bytes = static_cast<std::int64_t>(contents.size()), .hash = hasher.hex()};
}

nlohmann::ordered_json file_entry(const std::string& name, const WrittenFile& written) {
  return {{"name", name}, {"bytes", written.bytes}, {"xxh3_128", written.hash}};
}

// The N of a folder named step-N, or -1.
std::int64_t step_of(const fs::path& folder) {
  const std::string name = folder.filename().string();
  if (!name.starts_with(kStepPrefix)) return -1;
  std::int64_t step = -1;
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data() + kStepPrefix.size(), end, step);
  return error == std::errc() && stop == end ? step : -1;
}

// The state's tensors by the file that keeps them.
std::map<std::string, std::vector<NamedTensor>> files_of(const Replica& replica) {
  std::map<std::string, std::vector<NamedTensor>> files;
  for (const StateTensor& part : replica.state()) files[part.file].push_back({part.name, part.tensor});
  return files;
}

// Everything a checkpoint holds, the manifest last.
void write_files(const std::string& folder, std::int64_t step, const Ballot& ballot, const Recipe& recipe,
                 const Replica& replica) {
  nlohmann::ordered_json files = nlohmann::ordered_json::array();
  for (const auto& [name, tensors] : files_of(replica))
    files.push_back(file_entry(name, write_safetensors(folder + "/" + name, tensors)));
  const std::string recipe_text = to_toml(recipe);
  write_durably(folder + "/" + kRecipeFile, recipe_text);
  files.push_back(file_entry(kRecipeFile, describe(recipe_text)));

  const nlohmann::ordered_json manifest = {{"schema", kManifestSchema},
                                           {"step", step},
                                           {"ballot", ballot.to_string()},
                                           {"parameters_hash", replica.parameters_hash()},
                                           {"state_hash", replica.state_hash(step)},
                                           {"files", std::move(files)}};
  write_durably(folder + "/" + kManifestFile, manifest.dump(2) + "\n");
}

// Throws unless `name` is, byte for byte, the file that the manifest of `checkpoint` describes.
void verify(const std::string& checkpoint, const std::string& name) {
  const std::string manifest_path = checkpoint + "/" + kManifestFile;
  const MappedFile manifest_file(manifest_path, ErrorCode::kDataLoss);
  const auto manifest = nlohmann::json::parse(manifest_file.bytes(), nullptr, false);
  if (!manifest.is_object() || !manifest.contains("files"))
    fail(ErrorCode::kDataLoss, "{}: expected a checkpoint's manifest", manifest_path);
  if (manifest.value("schema", 0) != kManifestSchema)
    fail(ErrorCode::kDataLoss, "{}: expected schema {}, found {}", manifest_path, kManifestSchema,
         manifest.value("schema", 0));
  for (const auto& entry : manifest.at("files")) {
    if (entry.value("name", "") != name) continue;
    const MappedFile file(checkpoint + "/" + name, ErrorCode::kDataLoss);
    const WrittenFile found = describe(file.bytes());
    if (found.bytes != entry.value("bytes", std::int64_t{-1}) || found.hash != entry.value("xxh3_128", ""))
      fail(ErrorCode::kDataLoss, "{}/{}: is not the file that manifest.json describes: torn or changed", checkpoint,
           name);
    return;
  }
  fail(ErrorCode::kDataLoss, "{}: lists no {}", manifest_path, name);
}

}  // namespace

std::string write_checkpoint(const std::string& run_directory, std::int64_t step, const Ballot& ballot,
                             const Recipe& recipe, const Replica& replica) {
  const std::string parent = run_directory + "/checkpoints";
  const std::string target = fmt::format("{}/{}{}", parent, kStepPrefix, step);
  const std::string partial = fmt::format("{}/.{}{}.partial", parent, kStepPrefix, step);
  try {
    fs::remove_all(partial);
    fs::create_directories(partial);
    write_files(partial, step, ballot, recipe, replica);
    fs::rename(partial, target);
  } catch (const fs::filesystem_error& error) {
    fail(ErrorCode::kUnavailable, "{}: cannot write the checkpoint: {}", target, error.code().message());
  }
  sync_folder(parent);
  sync_folder(run_directory);
  return target;
}

std::string find_checkpoint(const std::string& source) {
  if (fs::exists(fs::path(source) / kManifestFile)) return source;
  const fs::path folder = fs::path(source) / "checkpoints";
  std::int64_t newest = -1;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, ignored))
    newest = std::max(newest, step_of(entry.path()));
  if (newest < 0)
    fail(ErrorCode::kUsage,
         "{}: expected a checkpoint, or a run directory with one in checkpoints/ (written after a run's last step)",
         source);
  return (folder / fmt::format("{}{}", kStepPrefix, newest)).string();
}

Recipe checkpoint_recipe(const std::string& checkpoint) { return load_recipe(checkpoint + "/" + kRecipeFile, {}); }

void read_parameters(const std::string& checkpoint, const Replica& replica) {
  const std::string path = checkpoint + "/" + kParametersFile;
  verify(checkpoint, kParametersFile);
  const SafetensorsFile file(path);
  for (const StateTensor& part : replica.state()) {
    if (part.file != kParametersFile) continue;
    if (!file.contains(part.name))
      fail(ErrorCode::kDataLoss, "{}: expected a parameter {}, which is not there", path, part.name);
    file.read_into(part.name, part.tensor);
  }
}

}  // namespace convoy::worker
