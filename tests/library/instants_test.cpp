#include "library/instants.h"

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "core/base/error.h"

namespace convoy::library {
namespace {

using std::chrono::milliseconds;

AtInstant instants(const std::string& who, const std::string& text) {
  return instants_of(
      who, [text](const std::string& name) { return name == kInstantsVariable ? std::optional(text) : std::nullopt; });
}

TEST(InstantsTest, WhoeverIsNotMeantAsksNobody) {
  EXPECT_FALSE(instants_of("1", [](const std::string&) { return std::nullopt; }));
  EXPECT_FALSE(instants("1", "0@update@5=KILL 1+@update@5=KILL"));
  EXPECT_TRUE(instants("1+", "0@update@5=KILL 1+@update@5=KILL"));
}

TEST(InstantsDeathTest, EndsTheProcessThereAndThenAndNotBefore) {
  const AtInstant at = instants("1", "1@update@5=KILL");
  at("update", 4);
  at("reduce", 5);
  EXPECT_EXIT(at("update", 5), testing::KilledBySignal(SIGKILL), "");
}

TEST(InstantsDeathTest, AStarIsAnyStep) {
  EXPECT_EXIT(instants("scheduler", "scheduler@journal@*=SEGV")("journal", 7), testing::KilledBySignal(SIGSEGV), "");
}

TEST(InstantsDeathTest, LaterMeansWhateverIsBeingDoneThen) {
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EXIT(
      {
        instants("0", "0@update@1=KILL+20000")("update", 1);
        std::this_thread::sleep_for(std::chrono::seconds(60));
      },
      testing::KilledBySignal(SIGKILL), "");
  EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(20));
}

TEST(InstantsTest, AWaitHoldsUpWhoComesByOnce) {
  const AtInstant at = instants("0", "0@reduced@3=WAIT+30000");
  const auto start = std::chrono::steady_clock::now();
  at("reduced", 3);
  const auto held = std::chrono::steady_clock::now();
  at("reduced", 3);
  const auto end = std::chrono::steady_clock::now();
  EXPECT_GE(held - start, milliseconds(30));
  EXPECT_LT(end - held, held - start);
}

TEST(InstantsTest, WhatReadsOtherwiseIsRefusedWhoeverIsMeant) {
  for (const char* text : {"1", "1@update", "1@update@5", "1@update@5=STAB", "1@update@x=KILL", "1@update@=KILL",
                           "1@update@5=KILL+", "1@update@5=KILL+x", "1@update@5=WAIT", "1@update@-1=KILL"})
    EXPECT_THROW(instants("0", text), Error) << text;
}

}  // namespace
}  // namespace convoy::library
