#include "worker/checkpoint.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "core/base/durable_file.h"
#include "core/base/error.h"
#include "core/base/hash.h"
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

// The state's files as its bytes come in.
class StateFiles {
 public:
  StateFiles(const std::string& folder, std::vector<StateTensor> state) : folder_(folder), state_(std::move(state)) {}

  void write(std::span<const std::byte> bytes) {
    state_hasher_.update(bytes);
    while (!bytes.empty()) {
      if (left_ == 0) begin_tensor();
      const std::span<const std::byte> part = bytes.first(std::min(bytes.size(), left_));
      if (state_[next_ - 1].is_parameter) parameters_hasher_.update(part);
      writer_->write(part);
      left_ -= part.size();
      bytes = bytes.subspan(part.size());
    }
  }
  // After all bytes. The hashes are those of Replica::parameters_hash() and state_hash().
  void finish(Manifest& manifest) {
    end_file();
    manifest.files = std::move(written_);
    manifest.parameters_hash = parameters_hasher_.hex();
    state_hasher_.update(std::as_bytes(std::span(&manifest.step, 1)));
    manifest.state_hash = state_hasher_.hex();
  }

 private:
  void begin_tensor() {
    if (next_ == 0 || state_[next_].file != state_[next_ - 1].file) begin_file();
    left_ = state_[next_].tensor.spec().bytes();
    ++next_;
  }
  void begin_file() {
    end_file();
    const std::string& file = state_[next_].file;
    std::vector<NamedSpec> tensors;
    for (std::size_t i = next_; i < state_.size() && state_[i].file == file; ++i)
      tensors.push_back({state_[i].name, state_[i].tensor.spec()});
    writer_.emplace(folder_ + "/" + file, tensors, Metadata{}, Flushing::kAsItGoes);
  }
  void end_file() {
    if (!writer_) return;
    written_.emplace_back(state_[next_ - 1].file, writer_->commit());
    writer_.reset();
  }

  const std::string folder_;
  const std::vector<StateTensor> state_;
  std::size_t next_ = 0;  // tensor to begin
  std::size_t left_ = 0;  // bytes of the one before it
  std::optional<SafetensorsWriter> writer_;
  std::vector<std::pair<std::string, WrittenFile>> written_;
  Xxh3Hasher128 parameters_hasher_;
  Xxh3Hasher128 state_hasher_;
};

// Compares what lies on the disk with what was written.
void read_back(const std::string& path, const WrittenFile& written, const std::function<void()>& between_pieces) {
  Xxh3Hasher128 hasher;
  std::int64_t bytes = 0;
  read_through(path, [&](std::span<const std::byte> piece) {
    hasher.update(piece);
    bytes += static_cast<std::int64_t>(piece.size());
    between_pieces();
  });
  check_contents(path, {.bytes = bytes, .hash = hasher.hex()}, written);
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

std::vector<StateCopy::Bytes> state_bytes(const Replica& replica) {
  std::vector<StateCopy::Bytes> parts;
  for (const StateTensor& part : replica.state())
    parts.push_back({static_cast<const std::byte*>(part.tensor.raw()), part.tensor.spec().bytes()});
  return parts;
}

UnfinishedCheckpoint::UnfinishedCheckpoint(std::string run_directory, CheckpointFacts facts)
    : run_directory_(std::move(run_directory)),
      facts_(std::move(facts)),
      target_(checkpoint_path(run_directory_, facts_.step)),
      partial_(unfinished_path(run_directory_, facts_.step)) {}

UnfinishedCheckpoint::~UnfinishedCheckpoint() {
  if (!committed_) discard(partial_);
}

void UnfinishedCheckpoint::write(const Recipe& recipe, const Replica& replica, StateCopy& state,
                                 const std::function<void()>& between_pieces) {
  try {
    fs::create_directories(partial_);
  } catch (const fs::filesystem_error& error) {
    fail(ErrorCode::kUnavailable, "{}: cannot write the checkpoint: {}", target_, error.code().message());
  }
  Manifest manifest{.step = facts_.step,
                    .ballot = facts_.ballot,
                    .world = facts_.world,
                    .loss = facts_.loss,
                    .evaluated = facts_.evaluated,
                    .parameters_hash = {},
                    .state_hash = {},
                    .data_digest = facts_.data_digest,
                    .build = program_build(),
                    .files = {}};
  StateFiles files(partial_, replica.state());
  between_pieces();
  while (const std::optional<StateCopy::Bytes> piece = state.next()) {
    files.write(*piece);
    between_pieces();
  }
  files.finish(manifest);
  const std::string recipe_text = to_toml(recipe);
  write_durably(partial_ + "/" + kRecipeFile, recipe_text);
  manifest.files.emplace_back(kRecipeFile, describe(recipe_text));
  between_pieces();
  write_durably(partial_ + "/" + kManifestFile, to_json(manifest));
  for (const auto& [name, written] : read_manifest(partial_).files)
    read_back(partial_ + "/" + name, written, between_pieces);
}

const std::string& UnfinishedCheckpoint::commit() {
  try {
    move_into_place(partial_, target_);
  } catch (const fs::filesystem_error& error) {
    fail(ErrorCode::kUnavailable, "{}: cannot write the checkpoint: {}", target_, error.code().message());
  }
  committed_ = true;
  return target_;
}

void UnfinishedCheckpoint::settle() const {
  discard(partial_);  // what stood there before
  sync_folder(fs::path(target_).parent_path().string());
  sync_folder(run_directory_);
}

std::string write_checkpoint(const std::string& run_directory, const CheckpointFacts& facts, const Recipe& recipe,
                             const Replica& replica) {
  StateCopy state(state_bytes(replica));
  state.begin();
  UnfinishedCheckpoint checkpoint(run_directory, facts);
  checkpoint.write(recipe, replica, state);
  checkpoint.commit();
  checkpoint.settle();
  return checkpoint_path(run_directory, facts.step);
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
