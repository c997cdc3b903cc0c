#include "launcher/join.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <vector>

#include "cluster/address.h"
#include "cluster/curve.h"
#include "cluster/handshake.h"
#include "core/base/error.h"
#include "launcher/scheduler_file.h"

namespace convoy::launcher {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::milliseconds kConnect{1'000};    // for one address to answer
constexpr std::chrono::milliseconds kHandshake{2'000};  // for the scheduler there, which may be busy

bool same_directory(const std::string& one, const std::string& other) {
  std::error_code error;
  return one == other || fs::equivalent(one, other, error);
}

Whereabouts whereabouts_in(const std::string& run) {
  const auto found = SchedulerFile::read(run);
  if (!found)
    fail(ErrorCode::kUsage, "--join {}: no run is under way there (there is no {})", run, SchedulerFile::path_in(run));
  return *found;
}

// What the run's directory says, where it can be seen from here.
std::optional<Whereabouts> written_in(const std::string& run) {
  try {
    return SchedulerFile::read(run);
  } catch (const Error&) {  // of another schema
    return std::nullopt;
  }
}

// `address` as the user gave it.
std::string whole_address(const std::string& address) {
  const std::string whole = address.starts_with("tcp://") ? address : "tcp://" + address;
  try {
    (void)cluster::split_address(whole);
  } catch (const Error&) {
    fail(ErrorCode::kUsage, "--join {}: expected a run's directory, or HOST:PORT", address);
  }
  return whole;
}

Whereabouts whereabouts_at(const std::string& address, const std::string& run,
                           const cluster::Environment& environment) {
  const std::string whole = whole_address(address);
  auto token = environment(cluster::kTokenVariable);
  if (!token) token = whereabouts_in(run).token;
  try {
    return {.addresses = {whole},
            .public_key = cluster::hub_key_pair_of_token(*token).public_key,
            .token = *token,
            .incarnation = ""};
  } catch (const Error& error) {  // its value is secret
    fail(ErrorCode::kUsage, "{}: {}", cluster::kTokenVariable, error.what());
  }
}

bool is_open(const Whereabouts& where) { return !std::ranges::all_of(where.addresses, cluster::is_loopback); }

// "10.0.0.9 port 4000: Connection refused (errno 111)"; nothing: the scheduler answers there.
std::optional<std::string> unreachable(const cluster::Credentials& scheduler) {
  const cluster::HostPort where = cluster::split_address(scheduler.address);
  if (!cluster::accepts_connections(scheduler.address, kConnect)) {
    const int error = errno;
    return fmt::format("{} port {}: {} (errno {})", where.host, where.port, errno_text(error), error);
  }
  if (cluster::shake_hands(scheduler, kHandshake) != cluster::Handshake::kRefused) return std::nullopt;
  return fmt::format("{} port {}: whoever listens there does not know the run's token", where.host, where.port);
}

// "alpha (10.0.0.2)"
std::string this_host() {
  const std::vector<std::string> addresses = cluster::own_addresses();
  return addresses.empty() ? cluster::host_name()
                           : fmt::format("{} ({})", cluster::host_name(), fmt::join(addresses, ", "));
}

}  // namespace

RunUnderWay find_run(const std::string& address, const std::optional<std::string>& run,
                     const cluster::Environment& environment) {
  std::error_code error;
  const bool directory = fs::is_directory(address, error);
  if (directory && run && !same_directory(address, *run))
    fail(ErrorCode::kUsage, "--join {} and --run {}: expected the same directory", address, *run);
  if (!directory && !run) {
    fail(ErrorCode::kUsage,
         "--join {}: expected the directory of a run under way, or HOST:PORT with --run DIR, where it leaves its files",
         address);
  }
  RunUnderWay result{.scheduler = {}, .run_directory = run.value_or(address)};
  const Whereabouts where = directory ? whereabouts_in(address) : whereabouts_at(address, *run, environment);
  std::vector<std::string> failures;
  for (const std::string& at : where.addresses) {
    const cluster::Credentials scheduler{.address = at, .public_key = where.public_key, .token = where.token};
    const std::optional<std::string> failure = unreachable(scheduler);
    if (!failure) {
      const auto written = written_in(result.run_directory);
      result.open = is_open(where) || (written && written->token == where.token && is_open(*written));
      result.scheduler = scheduler;
      return result;
    }
    failures.push_back(*failure);
  }
  if (!directory && cluster::accepts_connections(where.addresses.front(), kConnect)) {
    const bool given = environment(cluster::kTokenVariable).has_value();
    fail(ErrorCode::kUsage, "--join {}: the scheduler there does not know the token in {}: expected that of its run",
         address, given ? cluster::kTokenVariable : SchedulerFile::path_in(*run));
  }
  fail(ErrorCode::kPeerLost,
       "--join {}: this host, {}, cannot reach the run's scheduler at {}: the run has ended, or listens elsewhere "
       "(convoy launch --listen ADDRESS)",
       address, this_host(), fmt::join(failures, ", nor at "));
}

}  // namespace convoy::launcher
