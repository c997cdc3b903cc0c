// What TensorBoard shows of a run: `tensorboard/` in the run directory, fed from what rank 0 reports.
#pragma once

#include <cstdint>
#include <string>

#include "cluster/messages.h"
#include "scheduler/event_file.h"
#include "scheduler/membership.h"

namespace convoy::scheduler {

// `time`: seconds since the epoch. Every function throws Error(kUnavailable) that names the file it cannot write.
class Board {
 public:
  // Begins a new event file. `resume_step`: what earlier files say of later steps is superseded.
  Board(const std::string& run_directory, std::int64_t resume_step, double time);

  void add(const cluster::StepReport& report, double time);
  void add(const cluster::EvalReport& report, double time);
  void add(const cluster::HistogramReport& report, double time) { file_.histogram(time, report); }
  void add(const cluster::TextReport& report, double time) { file_.text(time, report); }
  void add(const cluster::GraphReport& report, double time) { file_.graph(time, report); }

  // Writes down what was added, at most once a second unless it is much.
  void flush_if_due(Time now);
  void flush() { file_.flush(); }
  void discard() { file_.discard(); }

 private:
  EventFile file_;
  Time next_flush_;
};

}  // namespace convoy::scheduler
