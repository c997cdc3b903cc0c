#include "launcher/run_directory.h"

#include <fmt/format.h>

#include <filesystem>
#include <system_error>

#include "core/base/error.h"

namespace convoy::launcher {
namespace {

namespace fs = std::filesystem;

std::string time_stamp(std::time_t now) {
  std::tm local{};
  localtime_r(&now, &local);
  char text[32];
  std::strftime(text, sizeof text, "%Y%m%d-%H%M%S", &local);
  return text;
}

void make_folders(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) fail(ErrorCode::kUsage, "cannot create run directory {}: {}", path.string(), error.message());
}

// A lock alone is of a run that was stopped before it began.
bool holds_nothing(const fs::path& path) {
  std::error_code error;
  for (fs::directory_iterator entry(path, error), end; !error && entry != end; entry.increment(error)) {
    if (entry->path().filename() != "journal") return false;
    for (const auto& file : fs::directory_iterator(entry->path(), error)) {
      if (file.path().filename() != "lock") return false;
    }
  }
  if (error) fail(ErrorCode::kUsage, "cannot read run directory {}: {}", path.string(), error.message());
  return true;
}

std::string use_given(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::exists(status) && !fs::is_directory(status)) {
    fail(ErrorCode::kUsage, "run directory {} is not a directory", path.string());
  }
  make_folders(path);
  if (!holds_nothing(path) && !fs::exists(path / "recipe.toml"))
    fail(ErrorCode::kUsage, "run directory {} is not empty: name another one with --run", path.string());
  return path.string();
}

}  // namespace

std::string make_run_directory(const std::optional<std::string>& given, const std::string& recipe_path,
                               std::time_t now) {
  if (given) {
    if (given->empty()) fail(ErrorCode::kUsage, "--run needs the path of a directory, not an empty name");
    return use_given(*given);
  }
  const fs::path base = fs::path("runs") / fmt::format("{}-{}", fs::path(recipe_path).stem().string(), time_stamp(now));
  make_folders("runs");
  // Two runs may start within a second: only the one that makes the folder owns it.
  for (int attempt = 1;; ++attempt) {
    const fs::path path = attempt == 1 ? base : fs::path(fmt::format("{}-{}", base.string(), attempt));
    std::error_code error;
    if (fs::create_directory(path, error)) return path.string();
    if (error) fail(ErrorCode::kUsage, "cannot create run directory {}: {}", path.string(), error.message());
  }
}

}  // namespace convoy::launcher
