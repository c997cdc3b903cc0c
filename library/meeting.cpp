#include "library/meeting.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>
#include <vector>

#include "cluster/address.h"
#include "core/base/durable_file.h"
#include "core/base/error.h"
#include "distributed/mpi/mpi_communicator.h"

namespace convoy::library {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr milliseconds kPoll{50};
constexpr milliseconds kConnect{1'000};    // for one address to answer
constexpr milliseconds kCalledOff{1'500};  // the note stands: several polls, however slow the file system shows it

std::string note_path(const std::string& run_directory) { return run_directory + "/called-off"; }

// "EXIT_CODE INCARNATION"
std::optional<int> called_off(const std::string& run_directory, const std::string& incarnation) {
  std::ifstream file(note_path(run_directory));
  int code = 0;
  std::string of;
  if (!(file >> code)) return std::nullopt;
  file.get();
  std::getline(file, of);
  return of == incarnation ? std::optional(code) : std::nullopt;
}

// The first address that answers.
std::optional<cluster::Credentials> reach(const launcher::Whereabouts& whereabouts) {
  for (const std::string& address : whereabouts.addresses) {
    if (cluster::accepts_connections(address, kConnect))
      return cluster::Credentials{.address = address, .public_key = whereabouts.public_key, .token = whereabouts.token};
  }
  return std::nullopt;
}

std::string title(const cluster::Place& place) {
  return fmt::format("rank {} of {} on {}", place.rank, place.world, cluster::host_name());
}

}  // namespace

std::string common_run_directory(const std::optional<std::string>& given, const std::string& recipe,
                                 const cluster::Place& place) {
  if (given) return *given;
  if (place.job.empty()) {
    fail(ErrorCode::kUsage, "{} workers need --run DIR: {} gives no name of the run that all of them know", place.world,
         cluster::launcher_name(place.launcher));
  }
  std::string name = fmt::format("{}-{}", fs::path(recipe).stem().string(), place.job);
  std::ranges::replace_if(
      name, [](unsigned char c) { return std::isalnum(c) == 0 && c != '-' && c != '_' && c != '.'; }, '-');
  return "runs/" + name;
}

launcher::Whereabouts whereabouts_of(const cluster::Credentials& scheduler, const cluster::Place& place,
                                     std::int64_t resume_step) {
  launcher::Whereabouts result{.addresses = {},
                               .public_key = scheduler.public_key,
                               .token = scheduler.token,
                               .incarnation = place.incarnation,
                               .resume_step = resume_step};
  if (place.spans_hosts()) {
    const auto port = cluster::split_address(scheduler.address).port;
    for (const std::string& address : cluster::own_addresses())
      result.addresses.push_back(fmt::format("tcp://{}:{}", address, port));
  }
  // On other hosts nobody answers there, or somebody who does not know the run's token.
  result.addresses.push_back(scheduler.address);
  return result;
}

MeetingFile::MeetingFile(const std::string& run_directory, const launcher::Whereabouts& whereabouts)
    : file_((unlink(note_path(run_directory).c_str()), run_directory), whereabouts) {}

void call_off_meeting(const std::string& run_directory, const cluster::Place& place, int exit_code) noexcept {
  try {
    std::error_code error;
    std::vector<fs::path> made;  // innermost first
    for (fs::path path = run_directory; !path.empty() && !fs::exists(path, error); path = path.parent_path())
      made.push_back(path);
    fs::create_directories(run_directory);
    write_durably(note_path(run_directory), fmt::format("{} {}\n", exit_code, place.incarnation), 0600);
    std::this_thread::sleep_for(kCalledOff);
    unlink(note_path(run_directory).c_str());
    for (const fs::path& path : made) rmdir(path.c_str());
  } catch (...) {  // the others will notice that nobody comes
  }
}

Word wait_for_word(const std::string& run_directory, const cluster::Place& place, milliseconds timeout) {
  const std::string path = launcher::SchedulerFile::path_in(run_directory);
  std::string seen;
  for (const auto until = Clock::now() + timeout;; std::this_thread::sleep_for(kPoll)) {
    if (const auto code = called_off(run_directory, place.incarnation)) return {.scheduler = {}, .exit_code = *code};
    const auto found = launcher::SchedulerFile::read(run_directory);
    if (!found) {
      seen = "is not there";
    } else if (found->incarnation != place.incarnation) {
      seen = fmt::format("is of another start ('{}', this is '{}')", found->incarnation, place.incarnation);
    } else if (const auto scheduler = reach(*found)) {
      return {.scheduler = scheduler, .resume_step = found->resume_step};
    } else {
      seen = fmt::format("names {}, where nobody answers", fmt::join(found->addresses, ", "));
    }
    if (Clock::now() > until) {
      fail(ErrorCode::kPeerLost,
           "{} has not heard of rank 0's scheduler for {:.0f} s: {}, which rank 0 writes and all hosts must see, {}",
           title(place), std::chrono::duration<double>(timeout).count(), path, seen);
    }
  }
}

void wait_for_end_of_meeting(const std::string& run_directory, std::chrono::milliseconds timeout) {
  const auto until = std::chrono::steady_clock::now() + timeout;
  std::error_code error;
  while (fs::exists(launcher::SchedulerFile::path_in(run_directory), error) && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
}

std::optional<cluster::Credentials> find_scheduler(const std::string& run_directory, const std::string& token) {
  try {
    const auto found = launcher::SchedulerFile::read(run_directory);
    return found && found->token == token ? reach(*found) : std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  }
}

void tell_through_mpi(distributed::MpiSession& session, const std::optional<launcher::Whereabouts>& whereabouts,
                      int exit_code) {
  distributed::MpiCommunicator communicator(session, {});
  std::string text = whereabouts ? to_text(*whereabouts) : "";
  std::int64_t sizes[2] = {static_cast<std::int64_t>(text.size()), exit_code};
  communicator.broadcast(sizes, sizeof sizes, 0);
  communicator.broadcast(text.data(), text.size(), 0);
}

Word hear_through_mpi(distributed::MpiSession& session) {
  distributed::MpiCommunicator communicator(session, {});
  std::int64_t sizes[2] = {};
  communicator.broadcast(sizes, sizeof sizes, 0);
  if (sizes[0] == 0) return {.scheduler = {}, .exit_code = static_cast<int>(sizes[1])};
  std::string text(static_cast<std::size_t>(sizes[0]), '\0');
  communicator.broadcast(text.data(), text.size(), 0);
  const launcher::Whereabouts whereabouts = launcher::whereabouts_of(text);
  auto scheduler = reach(whereabouts);
  if (!scheduler) {
    fail(ErrorCode::kPeerLost, "rank {} of {} on {} cannot reach rank 0's scheduler: nobody answers at {}",
         session.rank(), session.size(), cluster::host_name(), fmt::join(whereabouts.addresses, ", "));
  }
  return {.scheduler = std::move(scheduler)};
}

}  // namespace convoy::library
