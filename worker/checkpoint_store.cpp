#include "worker/checkpoint_store.h"

#include <fcntl.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "core/base/error.h"
#include "worker/manifest.h"
#include "worker/replica.h"

namespace convoy::worker {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kStepPrefix = "step-";
constexpr std::string_view kUnfinishedPrefix = ".step-";
constexpr std::string_view kTemporary = ".tmp-";  // of a DurableFile

std::string folder_of(const std::string& run_directory) { return run_directory + "/checkpoints"; }

// The N of a folder named step-N, or -1.
std::int64_t step_of(const fs::path& folder) {
  const std::string name = folder.filename().string();
  if (!name.starts_with(kStepPrefix)) return -1;
  std::int64_t step = -1;
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data() + kStepPrefix.size(), end, step);
  return error == std::errc() && stop == end ? step : -1;
}

void verify(const std::string& checkpoint, CheckpointPart part) {
  const Manifest manifest = read_manifest(checkpoint);
  const std::int64_t named = step_of(checkpoint);
  if (named >= 0 && named != manifest.step)
    fail(ErrorCode::kDataLoss, "{}/{}: is of step {}", checkpoint, kManifestFile, manifest.step);
  if (part == CheckpointPart::kEverything) return verify_files(checkpoint, manifest);
  verify_file(checkpoint, manifest, kRecipeFile);
  verify_file(checkpoint, manifest, kParametersFile);
}

// Entries of a folder that may not be there; what cannot be listed holds nothing for us.
std::vector<fs::path> entries(const fs::path& folder) {
  std::vector<fs::path> paths;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
    paths.push_back(entry->path());
  return paths;
}

}  // namespace

Uuid read_run_id(const std::string& run_directory) {
  std::ifstream file(run_directory + "/run-id");
  std::string text;
  file >> text;
  try {
    return Uuid::parse(text);
  } catch (const Error&) {
    return {};
  }
}

std::string checkpoint_path(const std::string& run_directory, std::int64_t step) {
  return fmt::format("{}/{}{}", folder_of(run_directory), kStepPrefix, step);
}

std::string unfinished_path(const std::string& run_directory, std::int64_t step, const std::string& tag) {
  return fmt::format("{}/{}{}.partial-{}", folder_of(run_directory), kUnfinishedPrefix, step, tag);
}

std::string unfinished_path(const std::string& run_directory, std::int64_t step) {
  return unfinished_path(run_directory, step, random_hex(4));
}

std::vector<std::int64_t> checkpoint_steps(const std::string& run_directory) {
  std::vector<std::int64_t> steps;
  for (const fs::path& path : entries(folder_of(run_directory))) {
    if (const std::int64_t step = step_of(path); step >= 0) steps.push_back(step);
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

std::optional<std::string> find_damage(const std::string& run_directory, std::int64_t step, CheckpointPart part) {
  try {
    verify(checkpoint_path(run_directory, step), part);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kDataLoss) throw;
    return error.what();
  }
  return std::nullopt;
}

CheckpointSearch find_whole_checkpoint(const std::string& run_directory, CheckpointPart part) {
  CheckpointSearch search;
  std::vector<std::int64_t> steps = checkpoint_steps(run_directory);
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    std::optional<std::string> damage = find_damage(run_directory, *step, part);
    if (!damage) {
      search.step = *step;
      return search;
    }
    search.damaged.push_back(*std::move(damage));
  }
  return search;
}

std::string open_checkpoint(const std::string& source, CheckpointPart part,
                            const std::function<void(const std::string&)>& warn) {
  const fs::path path = fs::path(source).has_filename() ? fs::path(source) : fs::path(source).parent_path();
  if (fs::exists(path / kManifestFile) || fs::exists(path / kParametersFile) || step_of(path) >= 0) {
    if (fs::is_directory(path)) {
      verify(path.string(), part);
      return path.string();
    }
  }
  const CheckpointSearch search = find_whole_checkpoint(path.string(), part);
  if (search.step) {
    for (const std::string& line : search.damaged) warn(line);
    return checkpoint_path(path.string(), *search.step);
  }
  if (!search.damaged.empty())
    fail(ErrorCode::kDataLoss, "{}: holds no whole checkpoint: {}", source, fmt::join(search.damaged, "; "));
  fail(ErrorCode::kUsage, "{}: expected a checkpoint, or a run directory with one in checkpoints/", source);
}

void move_into_place(const std::string& partial, const std::string& target) {
  // Exchanged, so that at no instant there is neither. Only where there is one, and where the file system can.
  if (::renameat2(AT_FDCWD, partial.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) == 0) return;
  if (errno != ENOENT && fs::exists(target)) {
    const std::string old = unfinished_path(fs::path(target).parent_path().parent_path().string(), step_of(target));
    fs::rename(target, old);
    fs::rename(partial, target);
    discard(old);
    return;
  }
  fs::rename(partial, target);
}

void discard(const std::string& folder) noexcept {
  std::error_code ignored;
  fs::remove_all(folder, ignored);
}

void keep_newest(const std::string& run_directory, std::int64_t keep) {
  const std::vector<std::int64_t> steps = checkpoint_steps(run_directory);
  const std::int64_t excess = static_cast<std::int64_t>(steps.size()) - keep;
  for (std::int64_t i = 0; i < excess; ++i) {
    const std::int64_t step = steps[static_cast<std::size_t>(i)];
    const std::string going = unfinished_path(run_directory, step);
    std::error_code error;
    fs::rename(checkpoint_path(run_directory, step), going, error);
    if (!error) discard(going);
  }
}

void set_aside(const std::string& run_directory, std::int64_t step) {
  const std::string aside = fmt::format("{}/damaged-{}{}", folder_of(run_directory), kStepPrefix, step);
  discard(aside);
  std::error_code error;
  fs::rename(checkpoint_path(run_directory, step), aside, error);
  if (error)
    fail(ErrorCode::kUnavailable, "{}: cannot rename to {}: {}", checkpoint_path(run_directory, step), aside,
         error.message());
}

void remove_unfinished(const std::string& run_directory) {
  for (const fs::path& path : entries(folder_of(run_directory))) {
    if (!path.filename().string().starts_with(kUnfinishedPrefix)) continue;
    // Out of reach first: should somebody be writing it after all, it must not get its name with files missing.
    const std::string going = unfinished_path(run_directory, 0);
    std::error_code error;
    fs::rename(path, going, error);
    if (!error) discard(going);
  }
}

void remove_leftovers(const std::string& run_directory) {
  remove_unfinished(run_directory);
  for (const fs::path& path : entries(run_directory)) {
    const std::string name = path.filename().string();
    std::error_code ignored;
    if (name.find(kTemporary) != std::string::npos && fs::is_regular_file(path, ignored)) fs::remove(path, ignored);
  }
}

}  // namespace convoy::worker
