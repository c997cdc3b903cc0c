#include "core/device/fake/fake_device.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "core/base/error.h"

namespace convoy {
namespace {

using testing::Test;

class FakeDeviceTest : public Test {
 protected:
  // A block of one number.
  double* number() { return static_cast<double*>(device_.allocate(sizeof(double))); }
  static MemoryRange range(const double* data) { return {data, sizeof(double)}; }

  void set(Stream stream, double* to, double value) {
    const MemoryRange writes[] = {range(to)};
    device_.launch(stream, {"set", {}, writes, [to, value] { *to = value; }});
  }
  void copy(Stream stream, const double* from, double* to) {
    const MemoryRange reads[] = {range(from)}, writes[] = {range(to)};
    device_.launch(stream, {"copy", reads, writes, [from, to] { *to = *from; }});
  }
  std::string violation() {
    try {
      device_.synchronize();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInternal);
      return error.what();
    }
    return "";
  }

  FakeDevice device_{3};
};

constexpr Stream kCompute = Stream::kCompute, kCommunication = Stream::kCommunication;

TEST_F(FakeDeviceTest, LaunchesOfAStreamRunInTheirOrder) {
  double* const x = number();
  for (int i = 1; i <= 100; ++i) set(kCompute, x, i);
  device_.synchronize();
  EXPECT_EQ(*x, 100);
}

TEST_F(FakeDeviceTest, WorkWaitsUntilSomebodySynchronises) {
  bool late = false;
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    FakeDevice device(seed);
    auto* const x = static_cast<double*>(device.allocate(sizeof(double)));
    const MemoryRange writes[] = {range(x)};
    device.launch(kCompute, {"set", {}, writes, [x] { *x = 1; }});
    late = late || *x != 1;
    device.synchronize();
    EXPECT_EQ(*x, 1);
  }
  EXPECT_TRUE(late);
}

TEST_F(FakeDeviceTest, StreamsRunInDifferentOrders) {
  std::vector<std::string> orders;
  for (std::uint64_t seed = 0; seed < 16; ++seed) {
    FakeDevice device(seed);
    std::string order;
    for (const char name : {'a', 'b', 'c', 'd'}) {
      const Stream stream = name < 'c' ? kCompute : kCommunication;
      device.launch(stream, {"note", {}, {}, [&order, name] { order += name; }});
    }
    device.synchronize();
    EXPECT_LT(order.find('a'), order.find('b'));
    EXPECT_LT(order.find('c'), order.find('d'));
    orders.push_back(order);
  }
  std::sort(orders.begin(), orders.end());
  EXPECT_GE(std::unique(orders.begin(), orders.end()) - orders.begin(), 3);
}

TEST_F(FakeDeviceTest, AnEventOrdersTwoStreams) {
  double* const x = number();
  double* const y = number();
  set(kCompute, x, 7);
  device_.wait(kCommunication, device_.record(kCompute));
  copy(kCommunication, x, y);
  EXPECT_EQ(violation(), "");
  EXPECT_EQ(*y, 7);
}

TEST_F(FakeDeviceTest, EventsOrderAcrossAThirdPartyToo) {
  double* const x = number();
  double* const y = number();
  set(kCompute, x, 7);
  device_.wait(kCommunication, device_.record(kCompute));
  device_.wait(kCompute, device_.record(kCommunication));
  set(kCompute, x, 8);
  copy(kCompute, x, y);
  EXPECT_EQ(violation(), "");
  EXPECT_EQ(*y, 8);
}

TEST_F(FakeDeviceTest, AMissingWaitIsReported) {
  double* const x = number();
  double* const y = number();
  set(kCompute, x, 7);
  device_.record(kCompute);
  copy(kCommunication, x, y);
  EXPECT_EQ(violation(),
            "fake device: copy on communication reads bytes of block 1 that set on compute writes, and no event orders "
            "the two");
  EXPECT_EQ(violation(), "");
}

TEST_F(FakeDeviceTest, WithoutAWaitSomeOrdersGiveWrongResults) {
  int wrong = 0;
  for (std::uint64_t seed = 0; seed < 16; ++seed) {
    FakeDevice device(seed);
    double x = 0, y = 0;  // the device does not know of them, and so reports nothing
    device.launch(kCompute, {"set", {}, {}, [&x] { x = 7; }});
    device.launch(kCommunication, {"copy", {}, {}, [&x, &y] { y = x; }});
    device.synchronize();
    wrong += y != 7;
  }
  EXPECT_GT(wrong, 2);
  EXPECT_LT(wrong, 14);
}

TEST_F(FakeDeviceTest, AnEventThatWasRecordedTooEarlyDoesNotHelp) {
  double* const x = number();
  double* const y = number();
  const Event early = device_.record(kCompute);
  set(kCompute, x, 7);
  device_.wait(kCommunication, early);
  copy(kCommunication, x, y);
  EXPECT_NE(violation().find("no event orders the two"), std::string::npos);
}

TEST_F(FakeDeviceTest, ReadersNeedNoOrder) {
  double* const x = number();
  double* const y = number();
  double* const z = number();
  set(kCompute, x, 7);
  device_.synchronize(device_.record(kCompute));
  copy(kCompute, x, y);
  copy(kCommunication, x, z);
  EXPECT_EQ(violation(), "");
  EXPECT_EQ(*y + *z, 14);
}

TEST_F(FakeDeviceTest, MemoryMayNotGoWhileAnotherStreamUsesIt) {
  double* const x = number();
  set(kCommunication, x, 7);
  device_.release(x, sizeof(double));
  EXPECT_EQ(violation(), "fake device: block 1 is released while set on communication may still use it");
}

TEST_F(FakeDeviceTest, MemoryGoesBackInTheOrderOfTheComputeStream) {
  double* const x = number();
  double* const y = number();
  set(kCommunication, x, 7);
  device_.wait(kCompute, device_.record(kCommunication));
  copy(kCompute, x, y);
  device_.release(x, sizeof(double));
  EXPECT_EQ(violation(), "");
  EXPECT_EQ(*y, 7);
  EXPECT_EQ(device_.bytes_in_use(), sizeof(double));
}

TEST_F(FakeDeviceTest, OperandsMustBeAlive) {
  double* const x = number();
  double* const y = number();
  device_.release(x, sizeof(double));
  copy(kCompute, x, y);
  EXPECT_EQ(violation(), "fake device: copy reads block 1, which was released");
  double host = 0;
  copy(kCompute, y, &host);
  EXPECT_EQ(violation(), "fake device: copy writes 8 bytes that are no memory of the device");
}

TEST_F(FakeDeviceTest, ReleasesAndEventsAreChecked) {
  double* const x = number();
  device_.release(x, sizeof(double));
  device_.release(x, sizeof(double));
  EXPECT_NE(violation().find("were released before"), std::string::npos);
  device_.wait(kCompute, {77});
  EXPECT_EQ(violation(), "fake device: event 77 is waited for, which nobody recorded");
}

TEST_F(FakeDeviceTest, WhatAKernelThrowsComesWithTheNextSynchronisation) {
  device_.launch(kCompute, {"throw", {}, {}, [] { fail(ErrorCode::kInvalidArgument, "an id is out of range"); }});
  EXPECT_THROW(
      {
        try {
          device_.synchronize();
        } catch (const Error& error) {
          EXPECT_STREQ(error.what(), "an id is out of range");
          throw;
        }
      },
      Error);
  EXPECT_EQ(violation(), "");
}

TEST_F(FakeDeviceTest, EverythingIsLogged) {
  double* const x = number();
  double* const y = number();
  copy(kCompute, x, y);
  device_.wait(kCommunication, device_.record(kCompute));
  device_.release(x, sizeof(double));
  device_.synchronize();
  EXPECT_EQ(device_.log(), (std::vector<std::string>{"allocate 1: 8 bytes", "allocate 2: 8 bytes",
                                                     "launch copy on compute: reads 1; writes 2", "record 1 on compute",
                                                     "wait for 1 on communication", "release 1", "synchronize"}));
}

}  // namespace
}  // namespace convoy
