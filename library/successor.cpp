#include "library/successor.h"

#include <exception>
#include <utility>

#include "core/base/error.h"
#include "library/meeting.h"

namespace convoy::library {
namespace {

using launcher::Stream;

// Of a port that somebody else took meanwhile, or a system that is short of something; a try each 50 ms.
constexpr int kTries = 100;

}  // namespace

std::optional<launcher::RunLock> try_to_keep(const std::string& run_directory, std::chrono::milliseconds wait) {
  try {
    launcher::RunLock lock(run_directory, wait, launcher::RunLock::kKeeper);
    return lock.is_real() ? std::make_optional(std::move(lock)) : std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  }
}

Successor::Successor(std::string run_directory, Options options)
    : run_directory_(std::move(run_directory)),
      options_(std::move(options)),
      credentials_(options_.place.scheduler.value()) {}

Successor::~Successor() { end(false); }

cluster::Credentials Successor::find() {
  std::unique_lock guard(mutex_);
  if (busy_ || ending_) return credentials_;
  guard.unlock();
  if (thread_.joinable()) thread_.join();  // it has failed
  if (!lock_ && failures_ == 0) lock_ = try_to_keep(run_directory_, std::chrono::milliseconds(0));
  if (!lock_) {
    look_elsewhere();
  } else if (failures_ < kTries) {
    busy_ = true;
    thread_ = std::thread([this] { keep(); });
  } else {
    lock_.reset();  // another one may be able to
  }
  guard.lock();
  return credentials_;
}

// On other hosts it has another address.
void Successor::look_elsewhere() {
  if (!options_.place.spans_hosts()) return;
  if (const auto found = find_scheduler(run_directory_, credentials_.token)) {
    const std::lock_guard guard(mutex_);
    credentials_ = *found;
  }
}

void Successor::keep() {
  try {
    keep_one(options_.scheduler());
  } catch (const std::exception& error) {
    if (++failures_ == kTries)
      options_.output.line(Stream::kErrors, fmt::format("convoy: rank {} cannot keep the scheduler: {}",
                                                        options_.place.rank, error.what()));
  }
  const std::lock_guard guard(mutex_);
  busy_ = false;
}

void Successor::keep_one(const SchedulerProcess::Options& options) {
  SchedulerProcess process(options, options_.output);
  const MeetingFile file(run_directory_,
                         whereabouts_of(process.credentials(), options_.place, options.line.resume_step));
  options_.output.line(Stream::kErrors,
                       fmt::format("convoy: the scheduler is gone with the rank that kept it; rank {} keeps a new one",
                                   options_.place.rank));
  std::unique_lock guard(mutex_);
  credentials_ = process.credentials();
  keeps_ = true;
  changed_.wait(guard, [this] { return ending_; });
  if (!joins_) return;
  guard.unlock();
  exit_code_ = process.join();
  reason_ = process.reason();
}

void Successor::end(bool joins) {
  {
    const std::lock_guard guard(mutex_);
    if (ending_) return;
    ending_ = true;
    joins_ = joins;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::optional<int> Successor::join() {
  end(true);
  return keeps_ ? std::optional(exit_code_) : std::nullopt;
}

}  // namespace convoy::library
