// Reads TensorBoard's event files back.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/event.pb.h"
#include "scheduler/tfrecord.h"
#include "tests/scheduler/scratch.h"

namespace convoy::scheduler {

template <typename T>
T read_at(std::string_view bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.substr(at, sizeof value).data(), sizeof value);
  return value;
}

inline std::uint32_t unmasked(std::uint32_t crc) {
  const std::uint32_t rotated = crc - 0xa282ead8U;
  return (rotated >> 17) | (rotated << 15);
}

// Every record of a file, its framing checked.
inline std::vector<tensorboard::Event> events_of(const std::string& path) {
  const std::string contents = contents_of(path);
  std::vector<tensorboard::Event> events;
  for (std::string_view left = contents; !left.empty();) {
    const auto length = read_at<std::uint64_t>(left, 0);
    EXPECT_EQ(unmasked(read_at<std::uint32_t>(left, 8)), crc32c(left.substr(0, 8)));
    const std::string_view data = left.substr(12, length);
    EXPECT_EQ(data.size(), length) << "torn";
    EXPECT_EQ(unmasked(read_at<std::uint32_t>(left, 12 + length)), crc32c(data));
    EXPECT_TRUE(events.emplace_back().ParseFromArray(data.data(), static_cast<int>(data.size())));
    left.remove_prefix(16 + length);
  }
  return events;
}

inline std::vector<std::string> event_files(const Scratch& scratch) {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(scratch.path() + "/tensorboard"))
    paths.push_back(entry.path().string());
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace convoy::scheduler
