#include "core/data/image_folder.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <utility>

#include "core/base/error.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

bool is_picture(const std::string& name) {
  if (name.starts_with('.')) return false;
  std::string ending = fs::path(name).extension().string();
  for (char& c : ending) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return ending == ".jpg" || ending == ".jpeg" || ending == ".png";
}

std::vector<std::string> sorted(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> folders_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with('.') && entry.is_directory()) names.push_back(name);
  }
  return sorted(std::move(names));
}

std::vector<std::string> pictures_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    std::string name = entry.path().filename().string();
    if (is_picture(name) && entry.is_regular_file()) names.push_back(std::move(name));
  }
  return sorted(std::move(names));
}

}  // namespace

ImageFolder::ImageFolder(const DataRecipe& recipe) try : root_(recipe.path) {
  if (!fs::is_directory(root_)) {
    fail(ErrorCode::kUsage, "data.path: {}: {}; expected a folder with a folder of pictures for each class", root_,
         fs::exists(root_) ? "not a folder" : "No such file or directory");
  }
  const bool published = fs::is_directory(fs::path(root_) / "train") && fs::is_directory(fs::path(root_) / "val");
  if (published) {
    train_.folder = "train/";
    eval_.folder = "val/";
  }
  const fs::path training = published ? fs::path(root_) / "train" : fs::path(root_);
  classes_ = folders_in(training);
  if (classes_.size() < 2) {
    fail(ErrorCode::kUsage, "data.path: {} holds {}; expected at least 2 folders, one for each class",
         training.string(),
         classes_.empty() ? std::string("no folders") : fmt::format("the folder {} only", classes_.front()));
  }
  list(train_, classes_);
  if (published) {
    list(eval_, folders_in(fs::path(root_) / eval_.folder));
    if (eval_.files.empty()) fail(ErrorCode::kUsage, "data.path: {}/val holds no pictures", root_);
  } else {
    hold_out(recipe.eval_fraction, recipe.path);
  }
} catch (const fs::filesystem_error& error) {
  fail(ErrorCode::kUsage, "data.path: {}: cannot read: {}", error.path1().string(), error.code().message());
}

void ImageFolder::list(Part& part, const std::vector<std::string>& classes) {
  for (const std::string& name : classes) {
    const fs::path folder = fs::path(root_) / (part.folder + name);
    const auto found = std::lower_bound(classes_.begin(), classes_.end(), name);
    if (found == classes_.end() || *found != name)
      fail(ErrorCode::kUsage, "{}: is no class to train on; expected one of the folders in {}/train", folder.string(),
           root_);
    const std::vector<std::string> pictures = pictures_in(folder);
    if (pictures.empty()) fail(ErrorCode::kUsage, "{}: holds no .jpg, .jpeg or .png files", folder.string());
    for (const std::string& picture : pictures) {
      part.files.push_back({.name = names_.size(),
                            .name_size = static_cast<std::int32_t>(picture.size()),
                            .label = static_cast<std::int32_t>(found - classes_.begin())});
      names_ += picture;
    }
  }
}

void ImageFolder::hold_out(double fraction, const std::string& path) {
  const std::vector<File> all = std::exchange(train_.files, {});
  const auto held_before = [&](std::size_t i) { return std::floor(static_cast<double>(i) * fraction + 0.5); };
  for (std::size_t i = 0; i < all.size(); ++i)
    (held_before(i + 1) > held_before(i) ? eval_ : train_).files.push_back(all[i]);
  if (eval_.files.empty()) {
    eval_.files.push_back(train_.files.back());
    train_.files.pop_back();
  }
  if (train_.files.empty()) {
    fail(ErrorCode::kUsage, "data.eval_fraction: {} of the {} pictures in {} leaves none to train on; expected less",
         fraction, all.size(), path);
  }
}

std::int64_t ImageFolder::size(Split split) const { return static_cast<std::int64_t>(part(split).files.size()); }

std::string ImageFolder::name(Split split, std::int64_t picture) const {
  const File& entry = file(split, picture);
  return part(split).folder + classes_[static_cast<std::size_t>(entry.label)] + "/" +
         names_.substr(entry.name, static_cast<std::size_t>(entry.name_size));
}

std::string ImageFolder::path(Split split, std::int64_t picture) const { return root_ + "/" + name(split, picture); }

}  // namespace convoy
