// A view as JSON and as Prometheus's text, word for word: users' tools count on both.
#include "scheduler/run_view.h"

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "scheduler/run_view_json.h"
#include "scheduler/run_view_metrics.h"
#include "tests/scheduler/sample_view.h"

namespace convoy::scheduler {
namespace {

constexpr char kJson[] =
    R"({"schema":1,"time":1000060.5,"live":true,"scheduler":"00000000-0000-0000-0000-00000000000a",)"
    R"("run":"/runs/a \"b\"\\c","recipe":"gpt on text","state":"running","reason":"","ballot":"2.3","term":2,)"
    R"("step":120,"steps":600,"loss":2.25,"rate":41203.5,"rate_unit":"tokens/s","samples_per_s":160.5,)"
    R"("seconds_left":35.0,"started":1000000.0,"step_time":{"median_ms":12.5,"p99_ms":30.0,"steps":100},)"
    R"("checkpoint":{"step":100,"time":1000050.0},"scheduler_restarts":1,"workers_joined":3,"workers_lost":1,)"
    R"("steps_done":103,"steps_done_s":1.5,"workers":[)"
    R"({"uuid":"00000000-0000-0000-0000-000000000001","rank":0,"host":"node1","pid":4240,)"
    R"("phase":"forward_backward","step":121,"step_time":{"median_ms":12.5,"p99_ms":30.0,"steps":100},)"
    R"("heartbeat_age_s":0.25,"joined":1000001.0},)"
    R"({"uuid":"00000000-0000-0000-0000-000000000002","rank":null,"host":"node2","pid":4241,"phase":"starting",)"
    R"("step":0,"step_time":null,"heartbeat_age_s":null,"joined":null}],)"
    R"("loss_curve":[[1,4.5],[2,null],[120,2.25]],"events":[)"
    R"({"time":1000002.5,"kind":"worker_lost","worker":"00000000-0000-0000-0000-000000000002","rank":1,)"
    R"("ballot":"2.2","step":17,"detail":"worker 1 was killed by signal 9 <b>\"now\"</b>"},)"
    R"({"time":1000003.0,"kind":"epoch","worker":null,"rank":null,"ballot":"2.3","step":17,"detail":"1 worker"}]})";

constexpr char kMetrics[] =
    R"(# HELP convoy_info Which run this is; always 1.
# TYPE convoy_info gauge
convoy_info{run="/runs/a \"b\"\\c",recipe="gpt on text",scheduler="00000000-0000-0000-0000-00000000000a"} 1
# HELP convoy_state 1 for the state that the run is in, 0 for the others.
# TYPE convoy_state gauge
convoy_state{state="gathering"} 0
convoy_state{state="sealing"} 0
convoy_state{state="running"} 1
convoy_state{state="waiting"} 0
convoy_state{state="finishing"} 0
convoy_state{state="finished"} 0
convoy_state{state="stopped"} 0
# HELP convoy_step Last committed step, from 1.
# TYPE convoy_step gauge
convoy_step 120
# HELP convoy_steps Steps of the whole run.
# TYPE convoy_steps gauge
convoy_steps 600
# HELP convoy_loss Training loss of the last committed step.
# TYPE convoy_loss gauge
convoy_loss 2.25
# HELP convoy_workers Workers that are in the run.
# TYPE convoy_workers gauge
convoy_workers 2
# HELP convoy_samples_per_second Samples per second of step time, of the last steps.
# TYPE convoy_samples_per_second gauge
convoy_samples_per_second 160.5
# HELP convoy_tokens_per_second Tokens per second of step time, of the last seconds.
# TYPE convoy_tokens_per_second gauge
convoy_tokens_per_second 41203.5
# HELP convoy_remaining_seconds Time that the steps left will take at the present speed.
# TYPE convoy_remaining_seconds gauge
convoy_remaining_seconds 35
# HELP convoy_step_seconds Time of a step: quantiles of the last 100, sum and count since the scheduler was started.
# TYPE convoy_step_seconds summary
convoy_step_seconds{quantile="0.5"} 0.0125
convoy_step_seconds{quantile="0.99"} 0.03
convoy_step_seconds_sum 1.5
convoy_step_seconds_count 103
# HELP convoy_epoch_term Term of the membership: starts of the run's scheduler.
# TYPE convoy_epoch_term gauge
convoy_epoch_term 2
# HELP convoy_epoch_attempt Attempt of the membership within its term.
# TYPE convoy_epoch_attempt gauge
convoy_epoch_attempt 3
# HELP convoy_worker_joined_total Workers that came to the run.
# TYPE convoy_worker_joined_total counter
convoy_worker_joined_total 3
# HELP convoy_worker_lost_total Workers that the run lost.
# TYPE convoy_worker_lost_total counter
convoy_worker_lost_total 1
# HELP convoy_scheduler_restarts_total Schedulers that were started in the place of one that died.
# TYPE convoy_scheduler_restarts_total counter
convoy_scheduler_restarts_total 1
# HELP convoy_checkpoint_step Step of the last checkpoint.
# TYPE convoy_checkpoint_step gauge
convoy_checkpoint_step 100
# HELP convoy_checkpoint_timestamp_seconds When the last checkpoint was complete.
# TYPE convoy_checkpoint_timestamp_seconds gauge
convoy_checkpoint_timestamp_seconds 1000050
# HELP convoy_start_time_seconds When the run was started.
# TYPE convoy_start_time_seconds gauge
convoy_start_time_seconds 1000000
# HELP convoy_worker_step Step that the worker is in, from 1.
# TYPE convoy_worker_step gauge
convoy_worker_step{worker="00000000-0000-0000-0000-000000000001",rank="0",host="node1"} 121
convoy_worker_step{worker="00000000-0000-0000-0000-000000000002",rank="",host="node2"} 0
# HELP convoy_worker_heartbeat_age_seconds Time since the worker was last heard of.
# TYPE convoy_worker_heartbeat_age_seconds gauge
convoy_worker_heartbeat_age_seconds{worker="00000000-0000-0000-0000-000000000001",rank="0",host="node1"} 0.25
)";

TEST(RunViewTest, Json) { EXPECT_EQ(to_json(sample_view()), kJson); }

TEST(RunViewTest, JsonReadsBack) {
  EXPECT_EQ(to_json(view_of_json(kJson)), kJson);
  RunView blank;
  EXPECT_EQ(to_json(view_of_json(to_json(blank))), to_json(blank));
}

TEST(RunViewTest, WhatIsNoViewIsRefused) {
  for (const std::string text :
       {"", "{}", "[]", "null", "{\"schema\":2}", "{\"schema\":1}", "<html>", "{\"schema\":\"1\"}"}) {
    try {
      view_of_json(text);
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kDataLoss) << text;
    }
  }
  const std::string json = kJson;
  std::string odd_state = json;
  odd_state.replace(odd_state.find("\"running\""), 9, "\"runnings\"");
  EXPECT_THROW(view_of_json(odd_state), Error);
  std::string odd_ballot = json;
  odd_ballot.replace(odd_ballot.find("\"2.3\""), 5, "\"x.y\"");
  EXPECT_THROW(view_of_json(odd_ballot), Error);
  for (std::size_t length = 0; length < json.size(); length += 23)
    EXPECT_THROW(view_of_json(json.substr(0, length)), Error);
}

// Paths and messages of the system may hold any bytes.
TEST(RunViewTest, JsonOfBytesThatAreNoText) {
  RunView view = sample_view();
  view.reason = "bad \xff\xfe byte";
  view.loss = std::numeric_limits<double>::infinity();
  const std::string json = to_json(view);
  EXPECT_NE(json.find("\"loss\":null"), std::string::npos);
  EXPECT_EQ(view_of_json(json).reason, "bad \xef\xbf\xbd\xef\xbf\xbd byte");
}

TEST(RunViewTest, Metrics) { EXPECT_EQ(to_metrics(sample_view()), kMetrics); }

TEST(RunViewTest, MetricsOfARunThatBegins) {
  RunView view;
  view.run_directory = "a\nb";
  const std::string text = to_metrics(view);
  EXPECT_NE(text.find("convoy_info{run=\"a\\nb\""), std::string::npos) << text;
  EXPECT_EQ(text.find("convoy_loss"), std::string::npos);
  EXPECT_EQ(text.find("quantile="), std::string::npos);
  EXPECT_EQ(text.find("convoy_checkpoint"), std::string::npos);
  EXPECT_NE(text.find("convoy_step 0\n"), std::string::npos);
}

TEST(RunViewTest, MetricsOfALossThatIsNotFinite) {
  RunView view = sample_view();
  view.loss = std::nan("");
  EXPECT_NE(to_metrics(view).find("convoy_loss NaN\n"), std::string::npos);
}

}  // namespace
}  // namespace convoy::scheduler
