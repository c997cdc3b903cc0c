// The list of pictures below a folder, by class; core/data/images.h says which count and in what order.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/data/dataset.h"

namespace convoy {

// Pictures by number, training ones and held-out ones. Immutable.
class ImageFolder {
 public:
  // Throws Error(kUsage).
  explicit ImageFolder(const DataRecipe& recipe);

  std::int64_t classes() const { return static_cast<std::int64_t>(classes_.size()); }
  std::int64_t size(Split split) const;
  std::int32_t class_of(Split split, std::int64_t picture) const { return file(split, picture).label; }
  std::string path(Split split, std::int64_t picture) const;
  // Path below data.path: equal on all machines.
  std::string name(Split split, std::int64_t picture) const;

 private:
  // Names lie in one string: a million files must not be a million allocations.
  struct File {
    std::size_t name;
    std::int32_t name_size;
    std::int32_t label;
  };
  struct Part {
    std::string folder;  // below root_: "train/", "val/" or ""
    std::vector<File> files;
  };

  void list(Part& part, const std::vector<std::string>& classes);
  void hold_out(double fraction, const std::string& path);
  const Part& part(Split split) const { return split == Split::kTrain ? train_ : eval_; }
  const File& file(Split split, std::int64_t picture) const {
    return part(split).files[static_cast<std::size_t>(picture)];
  }

  std::string root_;
  std::vector<std::string> classes_;
  std::string names_;
  Part train_, eval_;
};

}  // namespace convoy
