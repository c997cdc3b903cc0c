#include "worker/state_copy.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <numeric>
#include <string>
#include <thread>

#include "core/base/error.h"

namespace convoy::worker {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kPiece = 4096;

// State that updates write all over, in parts that no piece fits.
class State {
 public:
  explicit State(std::vector<std::size_t> sizes) {
    for (const std::size_t size : sizes) parts_.emplace_back(size, '\0');
    update(0);
  }
  void update(int step) {
    std::uint32_t next = static_cast<std::uint32_t>(step) * 2654435761U;
    for (std::string& part : parts_) {
      for (char& byte : part) byte = static_cast<char>((next = next * 1664525U + 1013904223U) >> 24);
    }
  }
  std::string bytes() const { return std::accumulate(parts_.begin(), parts_.end(), std::string()); }
  std::vector<StateCopy::Bytes> parts() const {
    std::vector<StateCopy::Bytes> parts;
    for (const std::string& part : parts_) parts.push_back(std::as_bytes(std::span(part)));
    return parts;
  }

 private:
  std::vector<std::string> parts_;
};

// Ten pieces and a bit.
std::vector<std::size_t> sizes() { return {100, 0, 5000, kPiece, 3 * kPiece + 1, 1, 20'000, 4000}; }

std::string text(StateCopy::Bytes piece) { return {reinterpret_cast<const char*>(piece.data()), piece.size()}; }

// What is left of the pieces.
std::string read_all(StateCopy& copy) {
  std::string bytes;
  while (const auto piece = copy.next()) bytes += text(*piece);
  copy.end();
  return bytes;
}

TEST(StateCopyTest, IsReadFromTheLiveMemoryWhileNothingChanges) {
  const State state(sizes());
  StateCopy copy(state.parts(), kPiece);
  copy.begin();
  EXPECT_EQ(read_all(copy), state.bytes());
  EXPECT_EQ(copy.statistics().at_update, 0U);
}

TEST(StateCopyTest, OfNothingThereIsNothingToRead) {
  StateCopy copy({}, kPiece);
  copy.begin();
  copy.before_update();
  EXPECT_EQ(copy.next(), std::nullopt);
  copy.end();
}

// However many pieces were read before the update, the rest is as it was at begin().
TEST(StateCopyTest, WhatIsReadAfterAnUpdateIsWhatWasThereBefore) {
  State state(sizes());
  StateCopy copy(state.parts(), kPiece);
  const std::size_t pieces = (state.bytes().size() + kPiece - 1) / kPiece;
  for (std::size_t before = 0; before <= pieces; ++before) {
    state.update(static_cast<int>(before));
    const std::string expected = state.bytes();
    copy.begin();
    std::string read;
    for (std::size_t i = 0; i < before; ++i) read += text(copy.next().value());
    for (int update = 100; update < 103; ++update) {
      copy.before_update();
      state.update(update);
    }
    EXPECT_EQ(read + read_all(copy), expected) << before << " pieces before the update";
    EXPECT_EQ(copy.statistics().at_update, expected.size() - std::min(expected.size(), before * kPiece));
  }
}

// Steps long enough for the copies ahead to be through: the update finds nothing to do.
TEST(StateCopyTest, ReadsOtherPartsTheNextTime) {
  const State small({5000});
  State large(sizes());
  StateCopy copy(small.parts(), kPiece);
  copy.begin();
  EXPECT_EQ(read_all(copy), small.bytes());
  copy.use(large.parts());
  copy.begin();
  const std::string before = large.bytes();
  copy.before_update();
  large.update(1);
  EXPECT_EQ(read_all(copy), before);
  copy.use(small.parts());
  copy.begin();
  EXPECT_THROW(copy.use(large.parts()), Error) << "it is being read";
  EXPECT_EQ(read_all(copy), small.bytes());
}

TEST(StateCopyTest, CopiesAheadLeaveTheUpdateNothingToCopy) {
  State state(sizes());
  StateCopy copy(state.parts(), kPiece);
  std::jthread ahead([&](const std::stop_token& stop) { copy.copy_ahead(stop); });
  for (int step = 0; step < 5; ++step) {
    const std::string expected = state.bytes();
    copy.begin();
    const std::string first = text(copy.next().value());
    while (copy.statistics().ahead + 2 * kPiece < expected.size()) std::this_thread::sleep_for(milliseconds(1));
    copy.before_update();
    state.update(step + 1);
    EXPECT_EQ(first + read_all(copy), expected);
  }
}

TEST(StateCopyTest, ASlowReaderIsNotWaitedFor) {
  State state(sizes());
  StateCopy copy(state.parts(), kPiece);
  std::promise<void> released;
  copy.begin();
  const std::string expected = state.bytes();
  std::future<std::string> read = std::async(std::launch::async, [&] {
    const std::string first = text(copy.next().value());
    released.get_future().wait();  // a disk that hangs
    return first + read_all(copy);
  });
  for (int step = 1; step < 20; ++step) {
    copy.before_update();
    state.update(step);
  }
  released.set_value();
  EXPECT_EQ(read.get(), expected);
}

TEST(StateCopyTest, WhereThereIsLittleMemoryUpdatesWaitForTheReader) {
  State state(sizes());
  StateCopy copy(state.parts(), kPiece);
  const std::string expected = state.bytes();
  copy.begin(3 * kPiece);
  std::future<void> update = std::async(std::launch::async, [&] {
    copy.before_update();
    state.update(1);
  });
  EXPECT_EQ(update.wait_for(milliseconds(20)), std::future_status::timeout);
  EXPECT_LE(copy.statistics().at_update, 3 * kPiece);
  EXPECT_EQ(read_all(copy), expected);
  update.get();
}

TEST(StateCopyTest, ACancelledReadingHoldsNobodyUp) {
  State state(sizes());
  StateCopy copy(state.parts(), kPiece);
  copy.begin(kPiece);
  ASSERT_TRUE(copy.next());
  std::future<void> update = std::async(std::launch::async, [&] {
    copy.before_update();
    state.update(1);
  });
  copy.cancel();
  update.get();
  EXPECT_FALSE(copy.next());
  EXPECT_THROW(copy.begin(), Error) << "the reader has not ended";
  copy.end();
  copy.begin();
  EXPECT_EQ(read_all(copy), state.bytes());
}

// Pieces that take a while to copy and updates that do not.
TEST(StateCopyTest, UpdatesWaitForCopiesUnderWay) {
  constexpr std::size_t kLarge = std::size_t{4} << 20;
  std::string state(3 * kLarge, '\0');
  StateCopy copy({std::as_bytes(std::span(state))}, kLarge);
  std::jthread ahead([&](const std::stop_token& stop) { copy.copy_ahead(stop); });
  for (int step = 0; step < 40; ++step) {
    copy.begin();
    std::future<std::string> read = std::async(std::launch::async, [&] { return read_all(copy); });
    std::this_thread::sleep_for(std::chrono::microseconds(100 * (step % 10)));
    copy.before_update();
    std::fill(state.begin(), state.end(), static_cast<char>(step + 1));
    const std::string bytes = read.get();
    EXPECT_EQ(bytes.size(), state.size());
    EXPECT_EQ(bytes.find_first_not_of(static_cast<char>(step)), std::string::npos) << "step " << step;
  }
}

// Reader, updates and copies ahead all at once, for the thread sanitizer and for races of places.
TEST(StateCopyTest, EveryReadingIsOfOneStep) {
  State state({300'000, 17, 100'000});
  StateCopy copy(state.parts(), kPiece);
  std::jthread ahead([&](const std::stop_token& stop) { copy.copy_ahead(stop); });
  std::atomic<bool> ended = true;
  std::string expected;
  int readings = 0;
  std::jthread reader;
  for (int step = 1; readings < 60; ++step) {
    if (ended) {
      if (reader.joinable()) reader.join();
      expected = state.bytes();
      copy.begin(readings % 3 == 0 ? 20 * kPiece : StateCopy::kUnlimited);
      ended = false;
      reader = std::jthread([&, pause = ++readings % 4] {
        std::string read;
        while (const auto piece = copy.next()) {
          read += text(*piece);
          if (pause != 0 && read.size() % static_cast<std::size_t>(pause * 7 + 3) == 0)
            std::this_thread::sleep_for(std::chrono::microseconds(100));
        }
        copy.end();
        EXPECT_TRUE(read == expected) << "reading " << readings;
        ended = true;
      });
    }
    copy.before_update();
    state.update(step);
  }
}

}  // namespace
}  // namespace convoy::worker
