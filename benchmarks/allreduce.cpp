// How long does a fixed-order all-reduce between processes of one host take?
//
//   allreduce [ENGINE [RANKS]]        "local" (the default) or "gloo", which goes through loopback here
//
// Prints, for each size, the median and the best time of tree_all_reduce (one partial sum a rank, in the arena), and
// the bandwidth that the result's size gives.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "distributed/engine.h"

namespace {

using namespace convoy;
using namespace convoy::distributed;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostBytes = 128 << 20;
constexpr int kMostRanks = 64;

// Where the ranks tell each other their meeting places: memory that all of them map.
struct Board {
  std::atomic<int> there{0};
  char places[kMostRanks][64] = {};
};

void measure(Communicator& communicator, std::span<std::byte> arena, const TreeLayout& layout, std::size_t bytes) {
  std::byte* const partial = arena.data();
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

void run_rank(const char* kind, std::int32_t rank, const std::vector<Uuid>& uuids, Board& board) {
  const auto size = static_cast<std::int32_t>(uuids.size());
  const auto engine = make_engine(
      {.kind = kind, .scheduler = "", .self = uuids[static_cast<std::size_t>(rank)], .arena_bytes = 2 * kMostBytes});
  engine->commit(0, 2 * kMostBytes);
  std::snprintf(board.places[rank], sizeof(board.places[rank]), "%s", engine->meeting_place().c_str());
  board.there.fetch_add(1);
  while (board.there.load() < size) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EpochView epoch{.ballot = {1, 1},
                  .rank = rank,
                  .members = {},
                  .token = "benchmark",
                  .timeout = std::chrono::seconds(30),
                  .stop = {}};
  for (std::int32_t r = 0; r < size; ++r)
    epoch.members.push_back({.uuid = uuids[static_cast<std::size_t>(r)],
                             .rank = r,
                             .host = "here",
                             .pid = 0,
                             .meeting_place = board.places[r]});
  const auto communicator = engine->connect(epoch);
  TreeLayout layout{size, {}};
  for (std::int32_t leaf = 0; leaf < layout.leaves; ++leaf) layout.subtrees.push_back({{leaf, leaf + 1}});
  for (const std::size_t bytes :
       {std::size_t{4} << 10, std::size_t{1} << 20, std::size_t{4} << 20, std::size_t{16} << 20, kMostBytes})
    measure(*communicator, engine->arena(), layout, bytes);
}

}  // namespace

int main(int argc, char** argv) {
  const char* const kind = argc > 1 ? argv[1] : "local";
  const int ranks = argc > 2 ? std::clamp(std::atoi(argv[2]), 1, kMostRanks) : 2;
  void* const shared = mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return 1;
  Board& board = *new (shared) Board;
  std::vector<Uuid> uuids;
  for (int rank = 0; rank < ranks; ++rank) uuids.push_back(Uuid::random());
  for (int rank = 1; rank < ranks; ++rank) {
    if (fork() == 0) {
      run_rank(kind, rank, uuids, board);
      std::_Exit(0);
    }
  }
  run_rank(kind, 0, uuids, board);
  while (wait(nullptr) > 0) {
  }
  return 0;
}
