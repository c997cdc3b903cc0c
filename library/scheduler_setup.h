// How a run's scheduler is set up, whether it is a process of its own or a thread of the run's only worker.
#pragma once

#include <string>

#include "core/base/log.h"
#include "launcher/command_line.h"
#include "library/run_plan.h"
#include "scheduler/scheduler.h"

namespace convoy::library {

// The scheduler that a run of `program` needs.
launcher::SchedulerLine scheduler_line(const RunPlan& plan, const ProgramRecipe& program, int workers);

scheduler::SchedulerOptions scheduler_options(const launcher::SchedulerLine& line, std::string token);

// The scheduler's own log: the terminal belongs to the run. Returns the logger.
Logger& log_to_file(Logger& logger, const std::string& run_directory);

}  // namespace convoy::library
