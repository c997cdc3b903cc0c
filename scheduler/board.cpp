#include "scheduler/board.h"

#include <chrono>
#include <vector>

namespace convoy::scheduler {
namespace {

constexpr std::chrono::seconds kFlushInterval{1};
constexpr std::size_t kMuch = 1 << 20;  // bytes

}  // namespace

Board::Board(const std::string& run_directory, std::int64_t resume_step, double time)
    : file_(run_directory + "/tensorboard", time) {
  if (resume_step > 0) file_.supersede_from(resume_step + 1, time);
  file_.flush();
}

void Board::add(const cluster::StepReport& report, double time) {
  std::vector<Scalar> scalars = {{"train/loss", report.loss},
                                 {"train/lr", report.lr},
                                 {"train/grad_norm", report.grad_norm},
                                 {"speed/step_ms", report.step_ms},
                                 {"speed/comm_ms", report.comm_ms}};
  if (report.step_ms > 0.0) {
    const double seconds = report.step_ms / 1e3;
    scalars.push_back({"speed/samples_per_s", static_cast<double>(report.samples) / seconds});
    if (report.tokens >= 0) scalars.push_back({"speed/tokens_per_s", static_cast<double>(report.tokens) / seconds});
  }
  file_.scalars(report.step, time, scalars);
}

void Board::add(const cluster::EvalReport& report, double time) {
  std::vector<Scalar> scalars = {{"eval/loss", report.loss}};
  if (report.accuracy) scalars.push_back({"eval/accuracy", *report.accuracy});
  file_.scalars(report.step, time, scalars);
}

void Board::flush_if_due(Time now) {
  if (now < next_flush_ && file_.pending_bytes() < kMuch) return;
  next_flush_ = now + kFlushInterval;
  file_.flush();
}

}  // namespace convoy::scheduler
