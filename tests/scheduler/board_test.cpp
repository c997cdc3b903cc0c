#include "scheduler/board.h"

#include <gtest/gtest.h>

#include <chrono>
#include <map>

#include "core/base/error.h"
#include "tests/scheduler/event_reader.h"
#include "tests/scheduler/scratch.h"

namespace convoy::scheduler {
namespace {

constexpr double kTime = 1700000000.5;

std::map<std::string, float> scalars_of(const tensorboard::Event& event) {
  std::map<std::string, float> scalars;
  for (const auto& value : event.summary().value()) scalars[value.tag()] = value.simple_value();
  return scalars;
}

cluster::StepReport report(std::int64_t step) {
  return {.step = step,
          .loss = 2.5,
          .loss_bits = 0,
          .lr = 0.25,
          .grad_norm = 1.5,
          .samples = 16,
          .tokens = 1024,
          .step_ms = 500.0,
          .compute_ms = 400.0,
          .comm_ms = 100.0,
          .world = 2};
}

TEST(BoardTest, AFileBeginsWithItsVersion) {
  const Scratch scratch;
  const Board board(scratch.path(), 0, kTime);
  const auto files = event_files(scratch);
  ASSERT_EQ(files.size(), 1U);
  EXPECT_NE(files[0].find("/events.out.tfevents.1700000000."), std::string::npos) << files[0];
  const auto events = events_of(files[0]);
  ASSERT_EQ(events.size(), 1U) << "already readable";
  EXPECT_EQ(events[0].file_version(), "brain.Event:2");
  EXPECT_EQ(events[0].wall_time(), kTime);
}

TEST(BoardTest, AStepIsOneEventOfScalars) {
  const Scratch scratch;
  Board board(scratch.path(), 0, kTime);
  board.add(report(7), kTime + 1);
  board.flush();
  const auto events = events_of(event_files(scratch).at(0));
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[1].step(), 7);
  EXPECT_EQ(events[1].wall_time(), kTime + 1);
  EXPECT_EQ(scalars_of(events[1]), (std::map<std::string, float>{{"train/loss", 2.5F},
                                                                 {"train/lr", 0.25F},
                                                                 {"train/grad_norm", 1.5F},
                                                                 {"speed/step_ms", 500.0F},
                                                                 {"speed/comm_ms", 100.0F},
                                                                 {"speed/samples_per_s", 32.0F},
                                                                 {"speed/tokens_per_s", 2048.0F}}));
}

TEST(BoardTest, WhatThereIsNotIsLeftOut) {
  const Scratch scratch;
  Board board(scratch.path(), 0, kTime);
  auto images = report(1);
  images.tokens = -1;
  board.add(images, kTime);
  board.add(cluster::EvalReport{.step = 1, .loss = 0.5, .accuracy = std::nullopt}, kTime);
  board.add(cluster::EvalReport{.step = 2, .loss = 0.25, .accuracy = 0.75}, kTime);
  board.flush();
  const auto events = events_of(event_files(scratch).at(0));
  ASSERT_EQ(events.size(), 4U);
  EXPECT_FALSE(scalars_of(events[1]).contains("speed/tokens_per_s"));
  EXPECT_EQ(scalars_of(events[2]), (std::map<std::string, float>{{"eval/loss", 0.5F}}));
  EXPECT_EQ(scalars_of(events[3]), (std::map<std::string, float>{{"eval/loss", 0.25F}, {"eval/accuracy", 0.75F}}));
}

TEST(BoardTest, HistogramsKeepTheirBuckets) {
  const Scratch scratch;
  Board board(scratch.path(), 0, kTime);
  board.add(cluster::HistogramReport{.step = 3,
                                     .tag = "weights/h.0",
                                     .min = -1.0,
                                     .max = 2.0,
                                     .count = 5.0,
                                     .sum = 1.0,
                                     .sum_squares = 7.0,
                                     .limits = {-0.5, 2.5},
                                     .counts = {2.0, 3.0}},
            kTime);
  board.flush();
  const tensorboard::Event event = events_of(event_files(scratch).at(0)).at(1);
  const auto& value = event.summary().value(0);
  EXPECT_EQ(event.step(), 3);
  EXPECT_EQ(value.tag(), "weights/h.0");
  EXPECT_EQ(value.histo().min(), -1.0);
  EXPECT_EQ(value.histo().max(), 2.0);
  EXPECT_EQ(value.histo().num(), 5.0);
  EXPECT_EQ(value.histo().sum(), 1.0);
  EXPECT_EQ(value.histo().sum_squares(), 7.0);
  EXPECT_EQ(std::vector<double>(value.histo().bucket_limit().begin(), value.histo().bucket_limit().end()),
            (std::vector<double>{-0.5, 2.5}));
  EXPECT_EQ(std::vector<double>(value.histo().bucket().begin(), value.histo().bucket().end()),
            (std::vector<double>{2.0, 3.0}));
}

TEST(BoardTest, TextIsUtf8ForTheTextPlugin) {
  const Scratch scratch;
  Board board(scratch.path(), 0, kTime);
  board.add(cluster::TextReport{.step = 0, .tag = "recipe", .text = "    path = \"\xff\"\n"}, kTime);
  board.flush();
  const tensorboard::Event event = events_of(event_files(scratch).at(0)).at(1);
  const auto& value = event.summary().value(0);
  EXPECT_EQ(value.metadata().plugin_data().plugin_name(), "text");
  EXPECT_EQ(value.tensor().dtype(), tensorboard::DT_STRING);
  EXPECT_EQ(value.tensor().string_val(0), "    path = \"\xEF\xBF\xBD\"\n");
}

TEST(BoardTest, GraphIsAGraphDefWithTheShapesOfItsEdges) {
  const Scratch scratch;
  Board board(scratch.path(), 0, kTime);
  board.add(cluster::GraphReport{.nodes = {{.name = "inputs/x",
                                            .op = "input",
                                            .inputs = {},
                                            .attributes = "",
                                            .outputs = {{.dtype = "f32", .shape = {8, 4}}}},
                                           {.name = "forward/split_1",
                                            .op = "split",
                                            .inputs = {"inputs/x"},
                                            .attributes = "axis=1",
                                            .outputs = {{.dtype = "bf16", .shape = {8, 1}},
                                                        {.dtype = "bf16", .shape = {8, 3}}}}}},
            kTime);
  board.flush();
  tensorboard::GraphDef graph;
  ASSERT_TRUE(graph.ParseFromString(events_of(event_files(scratch).at(0)).at(1).graph_def()));
  ASSERT_EQ(graph.node_size(), 2);
  const tensorboard::NodeDef& split = graph.node(1);
  EXPECT_EQ(split.name(), "forward/split_1");
  EXPECT_EQ(split.op(), "split");
  EXPECT_EQ(split.input(0), "inputs/x");
  EXPECT_EQ(split.attr().at("attributes").s(), "axis=1");
  EXPECT_EQ(split.attr().at("dtype").type(), tensorboard::DT_BFLOAT16);
  ASSERT_EQ(split.attr().at("_output_shapes").list().shape_size(), 2);
  EXPECT_EQ(split.attr().at("_output_shapes").list().shape(1).dim(1).size(), 3);
}

TEST(BoardTest, AResumedRunSupersedesLaterStepsInANewFile) {
  const Scratch scratch;
  { Board(scratch.path(), 0, kTime).add(report(12), kTime); }
  const Board resumed(scratch.path(), 10, kTime);  // within the same second
  const auto files = event_files(scratch);
  ASSERT_EQ(files.size(), 2U);
  EXPECT_EQ(events_of(files[0]).size(), 2U) << "the end of a board flushes it";
  const auto events = events_of(files[1]);
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].file_version(), "brain.Event:2");
  EXPECT_EQ(events[1].session_log().status(), tensorboard::SessionLog::START);
  EXPECT_EQ(events[1].step(), 11) << "the first step that is written anew";
}

TEST(BoardTest, IsWrittenOnceASecond) {
  const Scratch scratch;
  Board board(scratch.path(), 0, kTime);
  const Time start = Time() + std::chrono::hours(1);
  const std::string file = event_files(scratch).at(0);
  board.add(report(1), kTime);
  EXPECT_EQ(events_of(file).size(), 1U);
  board.flush_if_due(start);
  EXPECT_EQ(events_of(file).size(), 2U);
  board.add(report(2), kTime);
  board.flush_if_due(start + std::chrono::milliseconds(900));
  EXPECT_EQ(events_of(file).size(), 2U);
  board.flush_if_due(start + std::chrono::milliseconds(1000));
  EXPECT_EQ(events_of(file).size(), 3U);
}

TEST(BoardTest, NamesTheFolderItCannotMake) {
  try {
    const Board board("/dev/null", 0, kTime);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_NE(std::string(error.what()).find("/dev/null/tensorboard"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace convoy::scheduler
