#include "worker/checkpoint.h"

#include <filesystem>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "core/base/durable_file.h"
#include "core/base/error.h"
#include "core/io/safetensors.h"
#include "worker/checkpoint_store.h"
#include "worker/fingerprint.h"

namespace convoy::worker {
namespace {

namespace fs = std::filesystem;

// The state's tensors by the file that keeps them.
std::map<std::string, std::vector<NamedTensor>> files_of(const Replica& replica) {
  std::map<std::string, std::vector<NamedTensor>> files;
  for (const StateTensor& part : replica.state()) files[part.file].push_back({part.name, part.tensor});
  return files;
}

// Everything a checkpoint holds, the manifest last.
void write_files(const std::string& folder, const CheckpointFacts& facts, const Recipe& recipe,
                 const Replica& replica) {
  Manifest manifest{.step = facts.step,
                    .ballot = facts.ballot,
                    .world = facts.world,
                    .loss = facts.loss,
                    .evaluated = facts.evaluated,
                    .parameters_hash = replica.parameters_hash(),
                    .state_hash = replica.state_hash(facts.step),
                    .data_digest = facts.data_digest,
                    .build = program_build(),
                    .files = {}};
  for (const auto& [name, tensors] : files_of(replica))
    manifest.files.emplace_back(name, write_safetensors(folder + "/" + name, tensors));
  const std::string recipe_text = to_toml(recipe);
  write_durably(folder + "/" + kRecipeFile, recipe_text);
  manifest.files.emplace_back(kRecipeFile, describe(recipe_text));
  write_durably(folder + "/" + kManifestFile, to_json(manifest));
  verify_files(folder, read_manifest(folder));
}

// A file's tensors into those of the state; neither may have one that the other lacks.
void read_file(const std::string& path, std::span<const NamedTensor> tensors) {
  const SafetensorsFile file(path);
  for (const auto& [name, tensor] : tensors) {
    if (!file.contains(name))
      fail(ErrorCode::kDataLoss, "{}: holds no tensor \"{}\", which this model has: it is another model's", path, name);
    file.read_into(name, tensor);
  }
  for (const std::string& name : file.names()) {
    const bool known =
        std::any_of(tensors.begin(), tensors.end(), [&](const NamedTensor& tensor) { return tensor.name == name; });
    if (!known)
      fail(ErrorCode::kDataLoss, "{}: holds a tensor \"{}\", which this model has not: it is another model's", path,
           name);
  }
}

}  // namespace

std::string write_checkpoint(const std::string& run_directory, const CheckpointFacts& facts, const Recipe& recipe,
                             const Replica& replica) {
  const std::string target = checkpoint_path(run_directory, facts.step);
  const std::string partial = unfinished_path(run_directory, facts.step);
  try {
    fs::remove_all(partial);
    fs::create_directories(partial);
    write_files(partial, facts, recipe, replica);
    move_into_place(partial, target);
  } catch (const fs::filesystem_error& error) {
    discard(partial);
    fail(ErrorCode::kUnavailable, "{}: cannot write the checkpoint: {}", target, error.code().message());
  } catch (...) {
    discard(partial);
    throw;
  }
  sync_folder(run_directory);
  return target;
}

Recipe checkpoint_recipe(const std::string& checkpoint, std::span<const std::string> overrides,
                         const ProgramRecipe& program) {
  verify_file(checkpoint, read_manifest(checkpoint), kRecipeFile);
  return load_recipe(checkpoint + "/" + kRecipeFile, overrides, program);
}

void read_parameters(const std::string& checkpoint, const Replica& replica) {
  verify_file(checkpoint, read_manifest(checkpoint), kParametersFile);
  read_file(checkpoint + "/" + kParametersFile, files_of(replica).at(kParametersFile));
}

Manifest read_state(const std::string& checkpoint, const Replica& replica) {
  Manifest manifest = read_manifest(checkpoint);
  for (const auto& [name, tensors] : files_of(replica)) {
    verify_file(checkpoint, manifest, name);
    read_file(checkpoint + "/" + name, tensors);
  }
  const std::string hash = replica.state_hash(manifest.step);
  if (hash != manifest.state_hash)
    fail(ErrorCode::kDataLoss, "{}/{}: its state_hash is {}, the state that was read has {}", checkpoint, kManifestFile,
         manifest.state_hash, hash);
  return manifest;
}

}  // namespace convoy::worker
