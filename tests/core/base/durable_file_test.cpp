#include "core/base/durable_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/base/error.h"
#include "core/base/uuid.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;

class DurableFileTest : public testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder_); }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  static std::string contents(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }

  fs::path folder_ = fs::path(testing::TempDir()) / ("durable_file_" + random_hex(8));
};

TEST_F(DurableFileTest, ReplacesTheOldFileAndLeavesNothingElse) {
  write_durably(path("a"), "first");
  write_durably(path("a"), std::string_view("se\0cond", 7));
  EXPECT_EQ(contents(path("a")), std::string("se\0cond", 7));
  EXPECT_EQ(files(), 1u);
}

TEST_F(DurableFileTest, NothingIsVisibleBeforeCommit) {
  write_durably(path("a"), "old");
  {
    DurableFile file(path("a"));
    file.write("new ");
    file.write("words");
    EXPECT_EQ(contents(path("a")), "old");
    file.commit();
    EXPECT_EQ(contents(path("a")), "new words");
  }
  EXPECT_EQ(contents(path("a")), "new words");
}

TEST_F(DurableFileTest, WithoutCommitTheTemporaryFileIsRemoved) {
  {
    DurableFile file(path("a"));
    file.write("half");
    EXPECT_EQ(files(), 1u);
  }
  EXPECT_EQ(files(), 0u);
}

TEST_F(DurableFileTest, LargeFilesThatAreFlushedAsTheyGoHoldWhatWasWritten) {
  std::string expected;
  DurableFile file(path("a"), 0666, Flushing::kAsItGoes);
  for (int i = 0; i < 21; ++i) {  // 12.6 MB: pieces and a rest
    const std::string bytes(600'000, static_cast<char>('a' + i));
    file.write(bytes);
    expected += bytes;
  }
  EXPECT_FALSE(fs::exists(path("a")));
  file.commit();
  EXPECT_TRUE(contents(path("a")) == expected);
  std::string read;
  read_through(path("a"), [&](std::span<const std::byte> piece) {
    read.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  });
  EXPECT_TRUE(read == expected);
}

TEST_F(DurableFileTest, AFileThatCannotBeReadThroughIsNamed) {
  try {
    read_through(path("absent"), [](std::span<const std::byte>) {});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_NE(std::string(error.what()).find("absent: cannot open: No such file"), std::string::npos) << error.what();
  }
}

TEST_F(DurableFileTest, PermissionsAreTheOnesAskedFor) {
  write_durably(path("secret"), "key", 0600);
  struct stat status {};
  ASSERT_EQ(::stat(path("secret").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(DurableFileTest, MissingFolderIsNamed) {
  try {
    write_durably(path("absent/a"), "x");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_NE(std::string(error.what()).find("absent/a: cannot create: No such file"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace convoy
