#include "core/data/text.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string_view>
#include <vector>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/base/mapped_file.h"
#include "core/data/held_out.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

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

// Files one after the other, addressed as one sequence of bytes.
class Bytes {
 public:
  explicit Bytes(const fs::path& path) try {
    if (!fs::is_directory(path)) {
      append(MappedFile(path.string(), ErrorCode::kUsage));
      return;
    }
    for (const fs::path& file : files_below(path)) {
      MappedFile mapped(file.string(), ErrorCode::kUsage);
      if (!is_binary(mapped.bytes())) append(std::move(mapped));
    }
  } catch (const fs::filesystem_error& error) {
    fail(ErrorCode::kUsage, "{}: cannot read: {}", error.path1().string(), error.code().message());
  } catch (const Error& error) {
    fail(error.code(), "data.path: {}", error.what());
  }

  std::int64_t size() const { return ends_.empty() ? 0 : ends_.back(); }

  // Writes bytes [begin, begin + count) as tokens; they lie inside [0, size()).
  void read(std::int64_t begin, std::int64_t count, std::int32_t* tokens) const {
    auto file = static_cast<std::size_t>(std::upper_bound(ends_.begin(), ends_.end(), begin) - ends_.begin());
    while (count > 0) {
      const std::string_view bytes = files_[file].bytes();
      const std::int64_t start = begin - (ends_[file] - static_cast<std::int64_t>(bytes.size()));
      const std::int64_t piece = std::min(count, ends_[file] - begin);
      for (std::int64_t i = 0; i < piece; ++i) {
        *tokens++ = static_cast<unsigned char>(bytes[static_cast<std::size_t>(start + i)]);
      }
      begin += piece;
      count -= piece;
      ++file;
    }
  }

  std::string digest() const {
    Xxh3Hasher128 hasher;
    for (const MappedFile& file : files_) hasher.update(std::as_bytes(std::span(file.bytes())));
    return hasher.hex();
  }

 private:
  void append(MappedFile file) {
    if (file.bytes().empty()) return;
    ends_.push_back(size() + static_cast<std::int64_t>(file.bytes().size()));
    files_.push_back(std::move(file));
  }

  std::vector<MappedFile> files_;   // none is empty
  std::vector<std::int64_t> ends_;  // of each file, in the sequence
};

class TextDataset final : public Dataset {
 public:
  TextDataset(Bytes bytes, std::int64_t context, std::int64_t train_bytes)
      : bytes_(std::move(bytes)), context_(context), train_bytes_(train_bytes) {}

  std::int64_t size(Split split) const override {
    if (split == Split::kTrain) return (train_bytes_ - 1) / context_;
    return (bytes_.size() - train_bytes_ + context_ - 1) / context_;
  }
  SampleSpec input_spec() const override { return {DType::kI32, {context_}}; }
  SampleSpec target_spec() const override { return {DType::kI32, {context_}}; }
  std::int64_t classes() const override { return 256; }
  std::int64_t tokens_per_sample() const override { return context_; }
  std::string digest() const override { return bytes_.digest(); }

 private:
  void read_sample(Split split, SampleId sample, void* input, std::int32_t* target) const override {
    const std::int64_t begin = (split == Split::kTrain ? 0 : train_bytes_ - 1) + sample.number * context_;
    const std::int64_t count = std::min(context_, bytes_.size() - 1 - begin);  // fewer in the last eval window only
    auto* tokens = static_cast<std::int32_t*>(input);
    bytes_.read(begin, count, tokens);
    bytes_.read(begin + 1, count, target);
    std::fill(tokens + count, tokens + context_, 0);
    std::fill(target + count, target + context_, -1);
  }

  Bytes bytes_;
  std::int64_t context_;
  std::int64_t train_bytes_;
};

// The fewest bytes whose training part holds one window and its last target: the smallest N ≥ context + 2 with
// N - ⌊N · eval_fraction + ½⌋ ≥ context + 1. A double, because it may be more than an integer holds.
double least_bytes(std::int64_t context, double eval_fraction) {
  const auto window = static_cast<double>(context);
  return std::max(window + 2.0, std::floor((window + 0.5) / (1.0 - eval_fraction)) + 1.0);
}

}  // namespace

std::unique_ptr<Dataset> open_text(const DataRecipe& recipe) {
  Bytes bytes{fs::path(recipe.path)};
  if (bytes.size() == 0) {
    fail(ErrorCode::kUsage, "data.path: {} {}", recipe.path,
         fs::is_directory(recipe.path) ? "holds no text files (links, hidden and binary files do not count)"
                                       : "is empty; expected text");
  }
  const std::int64_t train_bytes = bytes.size() - held_out(bytes.size(), recipe.eval_fraction);
  if (train_bytes < recipe.context + 1) {
    fail(ErrorCode::kUsage,
         "data.context: a context of {} needs at least {:.0f} bytes with {} of them held out; {} holds {}",
         recipe.context, least_bytes(recipe.context, recipe.eval_fraction), recipe.eval_fraction, recipe.path,
         bytes.size());
  }
  return std::make_unique<TextDataset>(std::move(bytes), recipe.context, train_bytes);
}

}  // namespace convoy
