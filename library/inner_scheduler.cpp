#include "library/inner_scheduler.h"

#include <chrono>

#include "library/run_signals.h"
#include "library/scheduler_setup.h"

namespace convoy::library {

InnerScheduler::InnerScheduler(const launcher::SchedulerLine& line, launcher::Output& output)
    : lock_(line.run), progress_(output), scheduler_(options(line, output), log_to_file(logger_, line.run)) {
  thread_ = std::thread([this] { serve(); });
}

InnerScheduler::~InnerScheduler() {
  if (!thread_.joinable()) return;
  joining_ = true;
  scheduler_.stop_now("the worker failed");
  thread_.join();
  progress_.finish();
}

int InnerScheduler::join() {
  joining_ = true;
  thread_.join();
  progress_.finish();
  if (failure_) std::rethrow_exception(failure_);
  return exit_code_;
}

scheduler::SchedulerOptions InnerScheduler::options(const launcher::SchedulerLine& line, launcher::Output& output) {
  auto result = scheduler_options(line, cluster::make_token());
  result.on_progress = [this](const cluster::Progress& progress) {
    progress_.update(progress, std::chrono::steady_clock::now());
  };
  result.on_notice = [&output](const std::string& text) { output.line(launcher::Stream::kOutput, text); };
  return result;
}

void InnerScheduler::serve() {
  try {
    exit_code_ = scheduler_.run();
    // It gave the worker its grace: what has not left by now hangs, or is far from the end of its step.
    if (exit_code_ != 0 && !joining_.load()) {
      std::this_thread::sleep_for(std::chrono::seconds(1));
      if (!joining_.load()) end_at_once(scheduler_.reason());
    }
  } catch (...) {
    failure_ = std::current_exception();
  }
}

}  // namespace convoy::library
