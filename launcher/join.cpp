#include "launcher/join.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <vector>

#include "cluster/address.h"
#include "cluster/curve.h"
#include "core/base/error.h"
#include "launcher/scheduler_file.h"

namespace convoy::launcher {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::milliseconds kConnect{1'000};  // for one address to answer

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

Whereabouts whereabouts_at(const std::string& address, const std::string& run,
                           const cluster::Environment& environment) {
  const std::string whole = address.starts_with("tcp://") ? address : "tcp://" + address;
  try {
    (void)cluster::split_address(whole);
  } catch (const Error&) {
    fail(ErrorCode::kUsage, "--join {}: expected a run's directory, or HOST:PORT", address);
  }
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
  const auto answers = std::ranges::find_if(
      where.addresses, [](const std::string& at) { return cluster::accepts_connections(at, kConnect); });
  if (answers == where.addresses.end()) {
    fail(ErrorCode::kPeerLost, "--join {}: nobody answers at {}: the run has ended, or this host cannot reach it",
         address, fmt::join(where.addresses, ", "));
  }
  result.scheduler = {.address = *answers, .public_key = where.public_key, .token = where.token};
  return result;
}

}  // namespace convoy::launcher
