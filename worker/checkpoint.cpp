#include "worker/checkpoint.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/base/durable_file.h"
#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/io/safetensors.h"

namespace convoy::worker {
namespace {

namespace fs = std::filesystem;

constexpr int kManifestSchema = 1;
constexpr const char* kParametersFile = "parameters.safetensors";
constexpr const char* kOptimizerFile = "optimizer.safetensors";
constexpr std::string_view kStepPrefix = "step-";

nlohmann::ordered_json file_entry(const std::string& name, const WrittenFile& written) {
  return {{"name", name}, {"bytes", written.bytes}, {"xxh3_128", written.hash}};
}

void sync_folder(const std::string& path) {
  const int folder = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = folder >= 0 && fsync(folder) == 0;
  const int error = errno;
  if (folder >= 0) close(folder);
  if (!synced) fail(ErrorCode::kUnavailable, "{}: cannot flush the folder: {}", path, errno_text(error));
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

}  // namespace

void write_checkpoint(const std::string& run_directory, std::int64_t step, const Ballot& ballot, const Recipe& recipe,
                      const Replica& replica) {
  const std::string parent = run_directory + "/checkpoints";
  const std::string target = fmt::format("{}/{}{}", parent, kStepPrefix, step);
  const std::string partial = fmt::format("{}/.{}{}.partial", parent, kStepPrefix, step);
  fs::remove_all(partial);
  fs::create_directories(partial);

  std::vector<NamedTensor> parameters;
  std::vector<NamedTensor> moments;
  for (std::size_t i = 0; i < replica.model().parameters().size(); ++i) {
    const std::string& name = replica.model().parameters()[i].name();
    parameters.push_back({name, replica.parameter(i)});
    for (std::size_t k = 0; k < Replica::kMoments; ++k)
      moments.push_back({fmt::format("{}.{}", Replica::kMomentNames[k], name), replica.moment(k, i)});
  }
  const std::string recipe_text = to_toml(recipe);
  write_durably(partial + "/recipe.toml", recipe_text);
  const WrittenFile parameters_written = write_safetensors(partial + "/" + kParametersFile, parameters);
  const WrittenFile moments_written = write_safetensors(partial + "/" + kOptimizerFile, moments);

  const nlohmann::ordered_json manifest = {
      {"schema", kManifestSchema},
      {"step", step},
      {"ballot", ballot.to_string()},
      {"parameters_hash", replica.parameters_hash()},
      {"state_hash", replica.state_hash(step)},
      {"files", {file_entry(kParametersFile, parameters_written), file_entry(kOptimizerFile, moments_written)}}};
  write_durably(partial + "/manifest.json", manifest.dump(2) + "\n");
  fs::rename(partial, target);
  sync_folder(parent);
}

std::string find_checkpoint(const std::string& source) {
  if (fs::exists(fs::path(source) / "manifest.json")) return source;
  const fs::path folder = fs::path(source) / "checkpoints";
  std::int64_t newest = -1;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, ignored))
    newest = std::max(newest, step_of(entry.path()));
  if (newest < 0)
    fail(ErrorCode::kUsage, "{}: expected a run directory with a checkpoint in checkpoints/, or a checkpoint", source);
  return (folder / fmt::format("{}{}", kStepPrefix, newest)).string();
}

Recipe checkpoint_recipe(const std::string& checkpoint) { return load_recipe(checkpoint + "/recipe.toml", {}); }

void read_parameters(const std::string& checkpoint, const Replica& replica) {
  const std::string path = checkpoint + "/" + kParametersFile;
  const SafetensorsFile file(path);
  for (const Parameter& parameter : replica.model().parameters()) {
    if (!file.contains(parameter.name()))
      fail(ErrorCode::kDataLoss, "{}: expected a parameter {}, which is not there", path, parameter.name());
    file.read_into(parameter.name(), parameter.value());
  }
}

}  // namespace convoy::worker
