// How long does a fixed-order all-reduce between processes of one host take?
//
//   local_allreduce [RANKS]
//
// Prints, for each size, the median and the best time of tree_all_reduce (one partial sum a rank, in the arena), and
// the bandwidth that the result's size gives.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "distributed/local/local_communicator.h"

namespace {

using namespace convoy;
using namespace convoy::distributed;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostBytes = 128 << 20;

void measure(Communicator& communicator, Segment& segment, const TreeLayout& layout, std::size_t bytes) {
  std::byte* const partial = segment.arena().data();
  std::byte* const result = partial + kMostBytes;
  const void* const partials[] = {partial};
  const auto count = static_cast<std::int64_t>(bytes / sizeof(float));
  const int repeats = static_cast<int>(std::clamp<std::size_t>((512 << 20) / bytes, 10, 2000));
  std::vector<double> microseconds;
  for (int i = -repeats / 5; i < repeats; ++i) {
    const auto begin = Clock::now();
    communicator.tree_all_reduce(ReduceType::kF32, layout, partials, result, count, 1024);
    if (i >= 0) microseconds.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
  }
  std::ranges::sort(microseconds);
  const double median = microseconds[microseconds.size() / 2];
  if (communicator.rank() == 0)
    std::printf("%8zu KB  median %10.1f us  best %10.1f us  %6.2f GB/s\n", bytes >> 10, median, microseconds.front(),
                static_cast<double>(bytes) / median / 1e3);
}

void run_rank(std::int32_t rank, const std::vector<LocalMember>& members, Rendezvous& rendezvous) {
  Segment segment({.arena_bytes = 2 * kMostBytes});
  segment.commit(0, segment.arena().size());
  const auto communicator = make_local_communicator({.rank = rank,
                                                     .members = members,
                                                     .ballot = {1, 1},
                                                     .token = "benchmark",
                                                     .segment = segment,
                                                     .rendezvous = rendezvous});
  TreeLayout layout{communicator->size(), {}};
  for (std::int32_t leaf = 0; leaf < layout.leaves; ++leaf) layout.subtrees.push_back({{leaf, leaf + 1}});
  for (const std::size_t bytes :
       {std::size_t{4} << 10, std::size_t{1} << 20, std::size_t{4} << 20, std::size_t{16} << 20, kMostBytes})
    measure(*communicator, segment, layout, bytes);
}

}  // namespace

int main(int argc, char** argv) {
  const int ranks = argc > 1 ? std::atoi(argv[1]) : 2;
  std::vector<LocalMember> members;
  std::vector<std::unique_ptr<Rendezvous>> rendezvous;
  for (int rank = 0; rank < ranks; ++rank) {
    const Uuid uuid = Uuid::random();
    rendezvous.push_back(std::make_unique<Rendezvous>(uuid));
    members.push_back({rendezvous.back()->name(), uuid});
  }
  for (int rank = 1; rank < ranks; ++rank) {
    if (fork() == 0) {
      run_rank(rank, members, *rendezvous[static_cast<std::size_t>(rank)]);
      std::_Exit(0);
    }
  }
  run_rank(0, members, *rendezvous[0]);
  while (wait(nullptr) > 0) {
  }
  return 0;
}
