#include "core/base/mapped_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
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

// Pages of the mapping that are in memory for this process.
std::size_t resident_kib(std::string_view bytes) {
  std::ifstream maps("/proc/self/smaps");
  std::ostringstream start;
  start << std::hex << reinterpret_cast<std::uintptr_t>(bytes.data()) << "-";
  bool here = false;
  for (std::string line; std::getline(maps, line);) {
    if (line.starts_with(start.str())) here = true;
    if (here && line.starts_with("Rss:")) return std::stoul(line.substr(4));
  }
  return 0;
}

TEST(MappedFileTest, ForgetsPagesAndNotBytes) {
  const std::string path = testing::TempDir() + "mapped_file_" + random_hex(8);
  const std::string contents(std::size_t{4} << 20, 'x');
  std::ofstream(path) << contents;
  const MappedFile file(path, ErrorCode::kUsage);
  EXPECT_EQ(file.bytes(), contents);
  EXPECT_GE(resident_kib(file.bytes()), 4096U);
  file.forget(file.bytes().substr(1));
  EXPECT_LE(resident_kib(file.bytes()), 64U);
  EXPECT_EQ(file.bytes(), contents);
  file.forget(file.bytes().substr(5, 3));  // less than a page
  fs::remove(path);
}

}  // namespace
}  // namespace convoy
