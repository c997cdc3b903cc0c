// A folder of its own for every test, and what tests of data sets share.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "core/base/error.h"
#include "core/base/uuid.h"
#include "core/data/dataset.h"

namespace convoy {

class ScratchFolder {
 public:
  ScratchFolder() { std::filesystem::create_directories(path_); }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  std::string path(const std::string& name = "") const {
    return name.empty() ? path_.string() : (path_ / name).string();
  }
  void write(const std::string& name, const std::string& bytes) const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    std::ofstream(path(name), std::ios::binary) << bytes;
  }

 private:
  std::filesystem::path path_ = std::filesystem::path(testing::TempDir()) / ("data_" + random_hex(8));
};

// The message with which a data set refuses to open; `folder` is cut out of it.
inline std::string refusal(const DataRecipe& recipe, const std::string& folder) {
  try {
    open_dataset(recipe);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    std::string what = error.what();
    EXPECT_EQ(what.find('\n'), std::string::npos) << what;
    while (what.find(folder) != std::string::npos) what.replace(what.find(folder), folder.size(), "DIR");
    return what;
  }
  return "no error";
}

}  // namespace convoy
