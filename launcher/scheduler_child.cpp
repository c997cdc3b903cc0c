#include "launcher/scheduler_child.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "cluster/address.h"
#include "cluster/curve.h"
#include "cluster/place.h"
#include "core/base/error.h"

namespace convoy::launcher {
namespace {

using Clock = std::chrono::steady_clock;

// Of what listens at every address of this host.
std::string local(const std::string& address) {
  const cluster::HostPort where = cluster::split_address(address);
  return where.host == "0.0.0.0" ? fmt::format("tcp://127.0.0.1:{}", where.port) : address;
}

}  // namespace

SchedulerChild::SchedulerChild(SchedulerChildOptions options)
    : options_(std::move(options)), port_(options_.listen), restarts_(options_.restarts) {
  credentials_.address = local(port_.address());
  started_before_ = !options_.token.empty();
  credentials_.token = started_before_ ? options_.token : cluster::make_token();
  credentials_.public_key = cluster::hub_key_pair_of_token(credentials_.token).public_key;
}

void SchedulerChild::start() {
  start_at_.reset();
  Pipe address = make_pipe();
  SchedulerChildOptions::Command command =
      options_.command({.listen = port_.address(), .restarted = std::exchange(started_before_, true)});
  SpawnOptions& spawn = command.spawn;
  spawn.inherited.insert(spawn.inherited.end(), {options_.lifeline, address.write_end.get()});
  const auto set = [&](const char* name, const std::string& value) {
    spawn.environment.push_back(std::string(name) + '=' + value);
  };
  set(cluster::kTokenVariable, credentials_.token);
  set(cluster::kAddressDescriptorVariable, std::to_string(address.write_end.get()));
  set(cluster::kLifelineVariable, std::to_string(options_.lifeline));
  ready_ = false;
  lines_ = 0;
  started_ = Clock::now();
  child_ = std::make_unique<ForwardedProcess>(spawn, options_.take);
  pid_ = child_->process().pid();
  address_pipe_ = std::move(address.read_end);
  set_nonblocking(address_pipe_.get());
}

void SchedulerChild::watch(std::vector<pollfd>& watched, bool only_end) const {
  if (child_) child_->watch(watched, only_end);
  if (address_pipe_) watched.push_back({.fd = address_pipe_.get(), .events = POLLIN, .revents = 0});
}

void SchedulerChild::forward() {
  if (child_) child_->forward();
}

// It writes two lines when it listens, where and with which key; both are known.
bool SchedulerChild::became_ready() {
  if (!address_pipe_) return false;
  std::array<char, 512> buffer;
  ssize_t got = 0;
  while ((got = read(address_pipe_.get(), buffer.data(), buffer.size())) > 0)
    lines_ += static_cast<int>(std::count(buffer.data(), buffer.data() + got, '\n'));
  ready_ = lines_ >= 2;
  if (ready_ || got == 0) address_pipe_.reset();  // closed unsaid: its end or the deadline says the rest
  return ready_;
}

bool SchedulerChild::overdue(Time now) const { return running() && !ready_ && now - started_ >= options_.start_limit; }

std::optional<ExitStatus> SchedulerChild::try_reap() {
  if (!child_) return std::nullopt;
  const auto status = child_->try_reap();
  if (!status) return std::nullopt;
  address_pipe_.reset();
  ready_ = false;
  return status;
}

std::optional<std::chrono::milliseconds> SchedulerChild::replace(Time now) {
  const auto wait = restarts_.after_death(started_, now);
  if (wait) start_at_ = now + *wait;
  return wait;
}

std::optional<std::string> SchedulerChild::start_if_due(Time now) {
  if (!start_at_ || now < *start_at_) return std::nullopt;
  try {
    start();
    return std::nullopt;
  } catch (const Error& error) {
    replace(now);
    return error.what();
  }
}

std::optional<SchedulerChild::Time> SchedulerChild::due() const {
  if (start_at_) return start_at_;
  if (running() && !ready_) return started_ + options_.start_limit;
  return std::nullopt;
}

}  // namespace convoy::launcher
