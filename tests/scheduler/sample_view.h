// A view of a run with something in every field, for tests of what shows it.
#pragma once

#include <cmath>

#include "scheduler/run_view.h"

namespace convoy::scheduler {

inline RunView sample_view() {
  const Uuid first = Uuid::parse("00000000-0000-0000-0000-000000000001");
  const Uuid second = Uuid::parse("00000000-0000-0000-0000-000000000002");
  RunView view{.time_s = 1000060.5,
               .live = true,
               .scheduler = Uuid::parse("00000000-0000-0000-0000-00000000000a"),
               .run_directory = "/runs/a \"b\"\\c",
               .recipe = "gpt on text",
               .state = RunState::kRunning,
               .reason = "",
               .ballot = {.term = 2, .attempt = 3},
               .term = 2,
               .step = 120,
               .steps = 600,
               .loss = 2.25,
               .rate = 41203.5,
               .rate_unit = "tokens/s",
               .samples_per_s = 160.5,
               .seconds_left = 35.0,
               .started_s = 1000000.0};
  view.step_time = StepSpread{.median_ms = 12.5, .p99_ms = 30.0, .steps = 100};
  view.workers = {{.uuid = first,
                   .rank = 0,
                   .host = "node1",
                   .pid = 4240,
                   .phase = "forward_backward",
                   .step = 121,
                   .step_time = view.step_time,
                   .heartbeat_age_s = 0.25,
                   .joined_s = 1000001.0},
                  {.uuid = second, .rank = -1, .host = "node2", .pid = 4241, .phase = "starting", .step = 0}};
  view.loss_curve = {{.step = 1, .loss = 4.5}, {.step = 2, .loss = std::nan("")}, {.step = 120, .loss = 2.25}};
  view.events = {{.time_s = 1000002.5,
                  .event = {.kind = "worker_lost",
                            .worker = second,
                            .rank = 1,
                            .ballot = {.term = 2, .attempt = 2},
                            .step = 17,
                            .detail = "worker 1 was killed by signal 9 <b>\"now\"</b>"}},
                 {.time_s = 1000003.0,
                  .event = {.kind = "epoch",
                            .worker = std::nullopt,
                            .rank = -1,
                            .ballot = {.term = 2, .attempt = 3},
                            .step = 17,
                            .detail = "1 worker"}}};
  view.checkpoint = CheckpointView{.step = 100, .time_s = 1000050.0};
  view.scheduler_restarts = 1;
  view.workers_joined = 3;
  view.workers_lost = 1;
  view.steps_done = 103;
  view.steps_done_s = 1.5;
  return view;
}

}  // namespace convoy::scheduler
