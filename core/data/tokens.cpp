#include "core/data/tokens.h"

#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/data/token_windows.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little, "token files are read as they are");

constexpr std::int64_t kHeaderBytes = 1024;
constexpr std::int64_t kCheckedAtOpening = std::int64_t{16} << 20;  // tokens

struct Format {
  std::uint32_t magic;
  std::uint32_t version;
  int width;                // bytes a token
  std::int64_t vocabulary;  // of the tokenizer that writes it
};
constexpr Format kFormats[] = {{20240520, 1, 2, 50257}, {20240801, 7, 4, 128256}};

struct TokenFile {
  std::string path;
  MappedFile mapped;
  std::int64_t offset = 0;
  int width = 2;
  std::int64_t vocabulary = 0;  // 0: the file does not say

  std::int64_t tokens() const { return (static_cast<std::int64_t>(mapped.bytes().size()) - offset) / width; }
};

TokenFile open_file(const std::string& path) {
  TokenFile file{path, MappedFile(path, ErrorCode::kUsage)};
  const std::string_view bytes = file.mapped.bytes();
  std::array<std::uint32_t, 3> header{};  // magic, version, tokens
  if (bytes.size() >= sizeof(header)) std::memcpy(header.data(), bytes.data(), sizeof(header));
  for (const Format& format : kFormats) {
    if (header[0] != format.magic) continue;
    if (header[1] != format.version) {
      fail(ErrorCode::kUsage, "{}: is a token file of version {}; expected version {}", path, header[1],
           format.version);
    }
    const std::uint64_t expected = std::uint64_t{header[2]} * static_cast<std::uint64_t>(format.width) + kHeaderBytes;
    if (bytes.size() != expected) {
      fail(ErrorCode::kUsage, "{}: has {} bytes; expected {} for the {} tokens that its header announces", path,
           bytes.size(), expected, header[2]);
    }
    file.offset = kHeaderBytes;
    file.width = format.width;
    file.vocabulary = format.vocabulary;
    return file;
  }
  if (bytes.size() % 2 != 0) {
    fail(ErrorCode::kUsage, "{}: has {} bytes; expected an even number (16-bit tokens) or a header of llm.c", path,
         bytes.size());
  }
  return file;
}

// The files that data.path names, in the order of their names.
std::vector<std::string> find_files(const fs::path& path) {
  if (fs::exists(path) && !fs::is_directory(path)) return {path.string()};
  const bool folder = fs::is_directory(path);
  const std::string pattern = folder ? "*.bin" : path.filename().string();
  if (!folder && pattern.find_first_of("*?[") == std::string::npos)
    fail(ErrorCode::kUsage, "data.path: {}: No such file or directory", path.string());
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(folder ? path : path.parent_path())) {
    const std::string name = entry.path().filename().string();
    if (entry.is_regular_file() && fnmatch(pattern.c_str(), name.c_str(), FNM_PERIOD) == 0)
      files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  if (files.empty()) {
    fail(ErrorCode::kUsage, "data.path: {} {}", path.string(),
         folder ? "holds no .bin files" : "matches no file; expected token files");
  }
  return files;
}

bool name_holds(const std::string& path, const char* word) {
  return fs::path(path).filename().string().find(word) != std::string::npos;
}

std::int64_t tokens_in(const std::vector<TokenFile>& files) {
  std::int64_t tokens = 0;
  for (const TokenFile& file : files) tokens += file.tokens();
  return tokens;
}

std::vector<TokenFile> open_files(const std::vector<std::string>& paths, const char* word) {
  std::vector<TokenFile> files;
  for (const std::string& path : paths) {
    if (name_holds(path, word)) files.push_back(open_file(path));
  }
  return files;
}

// What the headers say; they must agree.
std::int64_t vocabulary_of(const std::vector<TokenFile>& files, const DataRecipe& recipe) {
  if (recipe.vocabulary > 0) return recipe.vocabulary;
  for (const TokenFile& file : files) {
    if (file.vocabulary == 0) {
      fail(ErrorCode::kUsage,
           "data.vocabulary: {} has no header that tells it; expected the number of tokens there are (50257 for GPT-2)",
           file.path);
    }
    if (file.vocabulary != files.front().vocabulary) {
      fail(ErrorCode::kUsage, "{}: holds tokens of a vocabulary of {}; expected {}, as in {}", file.path,
           file.vocabulary, files.front().vocabulary, files.front().path);
    }
  }
  return files.front().vocabulary;
}

// Every token, once.
void check(const TokenFiles& tokens) {
  std::vector<std::int32_t> piece(1 << 14);
  for (std::int64_t begin = 0; begin < tokens.size(); begin += static_cast<std::int64_t>(piece.size()))
    tokens.read(begin, std::min(tokens.size() - begin, static_cast<std::int64_t>(piece.size())), piece.data());
}

std::unique_ptr<Dataset> open(const DataRecipe& recipe) {
  const std::vector<std::string> paths = find_files(recipe.path);
  std::vector<TokenFile> files = open_files(paths, "train");
  std::vector<TokenFile> held_out = open_files(paths, "val");
  const bool published = !files.empty() && !held_out.empty();
  if (!published) {
    files = open_files(paths, "");
    held_out.clear();
  }
  const std::int64_t train = tokens_in(files);
  const std::int64_t eval = tokens_in(held_out);
  TokenSplit split{.train = train, .own_text = true, .context = recipe.context};
  if (!published) {
    split = hold_out_tail(train, recipe, "tokens");
  } else if (train < recipe.context + 1) {
    fail(ErrorCode::kUsage, "data.context: a context of {} needs at least {} tokens to train on; {} holds {}",
         recipe.context, recipe.context + 1, recipe.path, train);
  } else if (eval < 2) {
    fail(ErrorCode::kUsage, "{}: expected at least 2 held-out tokens, found {}", held_out.front().path, eval);
  }
  for (TokenFile& file : held_out) files.push_back(std::move(file));
  TokenFiles tokens(vocabulary_of(files, recipe));
  for (TokenFile& file : files) tokens.append(std::move(file.mapped), file.path, file.offset, file.width);
  if (tokens.size() <= kCheckedAtOpening) check(tokens);
  return make_token_windows(std::move(tokens), split);
}

}  // namespace

std::unique_ptr<Dataset> open_tokens(const DataRecipe& recipe) try {
  return open(recipe);
} catch (const fs::filesystem_error& error) {
  fail(ErrorCode::kUsage, "data.path: {}: cannot read: {}", error.path1().string(), error.code().message());
}

}  // namespace convoy
