#include "core/data/text.h"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <vector>

#include "core/base/error.h"
#include "core/data/token_windows.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kByteTokens = 256;

bool is_binary(std::string_view bytes) { return bytes.substr(0, 8000).find('\0') != std::string_view::npos; }

std::vector<fs::path> files_below(const fs::path& folder) {
  std::vector<fs::path> files;
  for (auto entry = fs::recursive_directory_iterator(folder); entry != fs::recursive_directory_iterator(); ++entry) {
    const bool hidden = entry->path().filename().string().starts_with('.');
    if (hidden && entry->is_directory()) entry.disable_recursion_pending();
    if (!hidden && !entry->is_symlink() && entry->is_regular_file()) files.push_back(entry->path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

TokenFiles open_files(const fs::path& path) try {
  TokenFiles bytes(kByteTokens);
  if (!fs::is_directory(path)) {
    bytes.append(MappedFile(path.string(), ErrorCode::kUsage), path.string(), 0, 1);
    return bytes;
  }
  for (const fs::path& file : files_below(path)) {
    MappedFile mapped(file.string(), ErrorCode::kUsage);
    if (!is_binary(mapped.bytes())) bytes.append(std::move(mapped), file.string(), 0, 1);
  }
  return bytes;
} catch (const fs::filesystem_error& error) {
  fail(ErrorCode::kUsage, "{}: cannot read: {}", error.path1().string(), error.code().message());
} catch (const Error& error) {
  fail(error.code(), "data.path: {}", error.what());
}

}  // namespace

std::unique_ptr<Dataset> open_text(const DataRecipe& recipe) {
  TokenFiles bytes = open_files(recipe.path);
  if (bytes.size() == 0) {
    fail(ErrorCode::kUsage, "data.path: {} {}", recipe.path,
         fs::is_directory(recipe.path) ? "holds no text files (links, hidden and binary files do not count)"
                                       : "is empty; expected text");
  }
  const TokenSplit split = hold_out_tail(bytes.size(), recipe, "bytes");
  return make_token_windows(std::move(bytes), split);
}

}  // namespace convoy
