#include "worker/checkpoint.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/durable_file.h"
#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/base/uuid.h"
#include "core/io/safetensors.h"
#include "worker/checkpoint_store.h"
#include "worker/file_range.h"
#include "worker/fingerprint.h"
#include "worker/share.h"

namespace convoy::worker {
namespace {

namespace fs = std::filesystem;

// For the files to appear to a worker that is to write in them: file systems of several hosts show new ones late.
constexpr std::chrono::seconds kAppear{90};
constexpr std::chrono::milliseconds kLookAgain{20};

// The state's tensors by the file that keeps them.
std::map<std::string, std::vector<NamedTensor>> files_of(const Replica& replica) {
  std::map<std::string, std::vector<NamedTensor>> files;
  for (const StateTensor& part : replica.state()) files[part.file].push_back({part.name, part.tensor});
  return files;
}

// Of worker `rank`: made by who commits, filled by that worker, gone before the checkpoint has its name.
std::string report_path(const std::string& partial, std::int32_t rank) {
  return fmt::format("{}/share-{}.json", partial, rank);
}

// Whole ones end with the end of a line; what another host wrote may have holes for a moment.
std::string read_report(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  return text.ends_with('\n') && text.find('\0') == std::string::npos ? text : std::string();
}

bool is_there(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
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

UnfinishedCheckpoint::UnfinishedCheckpoint(std::string run_directory, CheckpointFacts facts, const StateLayout& layout,
                                           CheckpointPlan plan)
    : run_directory_(std::move(run_directory)),
      facts_(std::move(facts)),
      layout_(layout),
      shares_(layout.shares(plan.writers.size())),
      plan_(std::move(plan)),
      target_(checkpoint_path(run_directory_, facts_.step)),
      partial_(unfinished_path(run_directory_, facts_.step, plan_.tag.empty() ? random_hex(4) : plan_.tag)),
      manifest_{.step = facts_.step,
                .ballot = facts_.ballot,
                .world = facts_.world,
                .loss = facts_.loss,
                .evaluated = facts_.evaluated,
                .parameters_hash = {},
                .state_hash = {},
                .data_digest = facts_.data_digest,
                .build = program_build(),
                .files = {}},
      expected_(shares_.size()) {
  for (std::size_t i = 1; i < shares_.size(); ++i) missing_.push_back(plan_.writers[i]);
}

UnfinishedCheckpoint::~UnfinishedCheckpoint() {
  if (!committed_) discard(partial_);
}

void UnfinishedCheckpoint::make_files() const {
  try {
    fs::create_directories(partial_);
  } catch (const fs::filesystem_error& error) {
    fail(ErrorCode::kUnavailable, "{}: cannot write the checkpoint: {}", target_, error.code().message());
  }
  for (const StateLayout::File& file : layout_.files()) make_file(partial_ + "/" + file.name, file.header, file.bytes);
  for (const std::int32_t rank : missing_) make_file(report_path(partial_, rank), "", 0);
}

// The bytes come in the order of the state: those of the other shares first, which are hashed, then this one's.
void UnfinishedCheckpoint::write(StateCopy& state, const BetweenPieces& between_pieces) {
  between_pieces();
  make_files();
  Xxh3Hasher128 whole;
  Xxh3Hasher128 parameters;
  std::vector<Xxh3Hasher128> files(layout_.files().size());
  for (std::size_t i = 0; i < files.size(); ++i)
    files[i].update(std::as_bytes(std::span(std::string_view(layout_.files()[i].header))));
  const auto note = [&](const StateLayout::Chunk& chunk, std::span<const std::byte> part) {
    const StateLayout::Placed& tensor = layout_.tensors()[chunk.tensor];
    files[tensor.file].update(part);
    if (tensor.is_parameter) parameters.update(part);
  };
  std::vector<ChunkHashes> others;
  for (std::size_t i = 1; i < shares_.size(); ++i) others.emplace_back(layout_.chunks(shares_[i]));
  ShareWriter own(layout_, shares_[0], partial_);
  std::size_t share = 1;  // under way; shares_.size(): this one
  for (std::int64_t begin = 0; const std::optional<StateCopy::Bytes> piece = state.next();) {
    whole.update(*piece);
    for (StateCopy::Bytes bytes = *piece; !bytes.empty();) {
      while (share < shares_.size() && begin == shares_[share].end) ++share;
      if (share == shares_.size()) {
        own.write(bytes, note);
        break;
      }
      const auto part = bytes.first(std::min(bytes.size(), static_cast<std::size_t>(shares_[share].end - begin)));
      others[share - 1].update(part, note);
      begin += static_cast<std::int64_t>(part.size());
      bytes = bytes.subspan(part.size());
    }
    between_pieces();
  }
  between_pieces();  // the bytes may have ended because it is given up
  own.finish(between_pieces);
  for (std::size_t i = 1; i < shares_.size(); ++i) expected_[i] = share_report(layout_, others[i - 1]);
  for (std::size_t i = 0; i < files.size(); ++i)
    manifest_.files.emplace_back(layout_.files()[i].name,
                                 WrittenFile{.bytes = layout_.files()[i].bytes, .hash = files[i].hex()});
  manifest_.parameters_hash = parameters.hex();
  whole.update(std::as_bytes(std::span(&manifest_.step, 1)));
  manifest_.state_hash = whole.hex();
}

bool UnfinishedCheckpoint::has_all_shares() {
  for (std::size_t i = 1; i < shares_.size(); ++i) {
    const std::int32_t rank = plan_.writers[i];
    if (std::ranges::count(missing_, rank) == 0) continue;
    const std::string report = read_report(report_path(partial_, rank));
    if (report.empty()) continue;
    if (report != expected_[i])
      fail(ErrorCode::kDataLoss, "the share of worker {}: {}", rank, describe_difference(report, expected_[i]));
    std::erase(missing_, rank);
    discard(report_path(partial_, rank));
  }
  return missing_.empty();
}

void UnfinishedCheckpoint::complete(const Recipe& recipe) {
  const std::string recipe_text = to_toml(recipe);
  write_durably(partial_ + "/" + kRecipeFile, recipe_text);
  manifest_.files.emplace_back(kRecipeFile, describe(recipe_text));
  write_durably(partial_ + "/" + kManifestFile, to_json(manifest_));
  verify_file(partial_, read_manifest(partial_), kRecipeFile);
  for (const StateLayout::File& file : layout_.files()) {
    const std::string path = partial_ + "/" + file.name;
    sync_file(path);
    check_beginning(path, file.header);
  }
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

CheckpointShare::CheckpointShare(const std::string& run_directory, std::int64_t step, const StateLayout& layout,
                                 const CheckpointPlan& plan, std::int32_t rank)
    : layout_(layout),
      partial_(unfinished_path(run_directory, step, plan.tag)),
      report_(report_path(partial_, rank)),
      range_([&]() -> StateRange {
        const std::vector<StateRange> shares = layout.shares(plan.writers.size());
        const auto writer = static_cast<std::size_t>(std::ranges::find(plan.writers, rank) - plan.writers.begin());
        return writer < shares.size() ? shares[writer] : StateRange{};
      }()) {}

bool CheckpointShare::is_given_up() const { return appeared_ && !is_there(report_); }

void CheckpointShare::write(StateCopy& state, const std::function<void()>& between_pieces) {
  try {
    wait_for_files(between_pieces);
    ShareWriter writer(layout_, range_, partial_);
    while (const std::optional<StateCopy::Bytes> piece = state.next()) {
      writer.write(*piece);
      between_pieces();
    }
    between_pieces();  // the bytes may have ended because it is given up
    writer.finish(between_pieces);
    fill_file(report_, share_report(layout_, writer.hashes()));
  } catch (const std::exception& error) {
    report_failure(error.what());
    throw;
  } catch (...) {
    report_failure("was given up");
    throw;
  }
}

// The reports' files are the last ones to be made.
void CheckpointShare::wait_for_files(const std::function<void()>& between_pieces) {
  for (const auto until = std::chrono::steady_clock::now() + kAppear; !is_there(report_);) {
    if (std::chrono::steady_clock::now() > until)
      fail(ErrorCode::kUnavailable, "{} has not appeared within {} s: does this host see the run directory?", partial_,
           kAppear.count());
    std::this_thread::sleep_for(kLookAgain);
    between_pieces();
  }
  appeared_ = true;
}

void CheckpointShare::report_failure(const std::string& reason) const noexcept {
  try {
    if (is_there(report_)) fill_file(report_, failed_share_report(reason));
  } catch (...) {  // who commits will find that nothing comes
  }
}

std::string write_checkpoint(const std::string& run_directory, const CheckpointFacts& facts, const Recipe& recipe,
                             const Replica& replica) {
  const StateLayout layout(replica.state());
  StateCopy state(layout.memory(layout.all()));
  state.begin();
  UnfinishedCheckpoint checkpoint(run_directory, facts, layout);
  checkpoint.write(state, [] {});
  checkpoint.complete(recipe);
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
