#include "core/base/mapped_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <utility>

#include "core/base/uuid.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

TEST(MappedFileTest, ShowsTheBytesAndFailsWithTheCodeAskedFor) {
  const fs::path folder = fs::path(testing::TempDir()) / ("mapped_file_" + random_hex(8));
  fs::create_directories(folder);
  const std::string path = (folder / "a").string();
  std::ofstream(path) << "some bytes";
  MappedFile file(path, ErrorCode::kUsage);
  EXPECT_EQ(file.bytes(), "some bytes");
  const MappedFile moved = std::move(file);
  EXPECT_EQ(moved.bytes(), "some bytes");

  const std::string empty = (folder / "empty").string();
  std::ofstream(empty).close();
  EXPECT_EQ(MappedFile(empty, ErrorCode::kUsage).bytes(), "");

  for (const std::string& wrong : {(folder / "absent").string(), folder.string()}) {
    try {
      MappedFile missing(wrong, ErrorCode::kDataLoss);
      ADD_FAILURE() << "no error for " << wrong;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kDataLoss);
      EXPECT_TRUE(std::string(error.what()).starts_with(wrong + ": cannot ")) << error.what();
    }
  }
  fs::remove_all(folder);
}

}  // namespace
}  // namespace convoy
