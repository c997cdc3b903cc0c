#include "tests/distributed/process_ranks.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <thread>

namespace convoy::distributed::testing {
namespace {

[[noreturn]] void run_child(std::int32_t rank, const std::vector<pid_t>& pids, const ProcessBody& body) {
  int code = 0;
  try {
    body(rank, pids);
    code = ::testing::Test::HasFailure() ? 1 : 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "rank %d: %s\n", rank, error.what());
    code = 2;
  }
  std::fflush(nullptr);
  _exit(code);  // the parent's test state must not be torn down twice
}

}  // namespace

void run_processes(std::int32_t size, const ProcessBody& body, const std::function<void()>& started,
                   const ProcessesOptions& options) {
  std::vector<pid_t> pids;
  for (std::int32_t rank = 0; rank < size; ++rank) {
    const pid_t pid = fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) run_child(rank, pids, body);
    pids.push_back(pid);
  }
  started();

  const auto deadline = std::chrono::steady_clock::now() + options.deadline;
  for (std::size_t rank = 0; rank < pids.size(); ++rank) {
    int status = 0;
    while (waitpid(pids[rank], &status, WNOHANG) == 0) {
      if (std::chrono::steady_clock::now() > deadline) {
        ADD_FAILURE() << "rank " << rank << " was not done in time";
        kill(pids[rank], SIGKILL);
        waitpid(pids[rank], &status, 0);
        break;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    if (static_cast<std::int32_t>(rank) == options.killed)
      EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << "rank " << rank;
    else
      EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "rank " << rank << ", wait status " << status;
  }
}

void run_ranks(std::int32_t size, const std::function<void(RankContext&)>& body, const RanksOptions& options) {
  // Made before anybody runs, as workers listen before the scheduler announces an epoch.
  std::vector<LocalMember> members;
  std::vector<std::unique_ptr<Rendezvous>> rendezvous;
  for (std::int32_t rank = 0; rank < size; ++rank) {
    const Uuid uuid = Uuid::random();
    rendezvous.push_back(std::make_unique<Rendezvous>(uuid));
    members.push_back({rendezvous.back()->name(), uuid});
  }
  const auto run_rank = [&](std::int32_t rank, const std::vector<pid_t>& pids) {
    for (std::int32_t other = 0; other < size; ++other)
      if (other != rank) rendezvous[static_cast<std::size_t>(other)].reset();
    Segment segment(options.segment);
    RankContext context{rank, members, *rendezvous[static_cast<std::size_t>(rank)], segment, pids};
    body(context);
  };
  run_processes(size, run_rank, [&] { rendezvous.clear(); }, {.killed = options.killed, .deadline = options.deadline});
}

int open_descriptors() {
  int count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

}  // namespace convoy::distributed::testing
