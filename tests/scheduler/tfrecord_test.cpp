#include "scheduler/tfrecord.h"

#include <gtest/gtest.h>

namespace convoy::scheduler {
namespace {

TEST(TfrecordTest, ChecksumIsCastagnolis) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283U);
  EXPECT_EQ(crc32c(""), 0U);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aaU) << "RFC 3720, B.4";
}

TEST(TfrecordTest, FramesAsTensorFlowDoes) {
  // The first record of every event file of TensorFlow 2 with wall_time 0: file_version = "brain.Event:2".
  const std::string event =
      "\x1a\x0d"
      "brain.Event:2";
  const std::string record = tfrecord(event);
  ASSERT_EQ(record.size(), 8 + 4 + event.size() + 4);
  EXPECT_EQ(record.substr(0, 8), std::string("\x0f\0\0\0\0\0\0\0", 8));
  EXPECT_EQ(record.substr(12, event.size()), event);
}

}  // namespace
}  // namespace convoy::scheduler
