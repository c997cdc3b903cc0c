// Reads batches before they are needed, on threads of its own, in an order that is known beforehand.
//
// The batch of a number is whatever `read` gives for it, so reading ahead can change neither what a batch holds nor the
// order of batches: only who reads them, and when. An error in reading is thrown to whoever takes that batch.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "core/data/dataset.h"

namespace convoy::worker {

class ReadAhead {
 public:
  struct Options {
    int threads = 1;         // ≥ 1
    std::int64_t depth = 1;  // batches read or being read and not yet taken, at most; ≥ 1
    std::int64_t end = 0;    // numbers are in [0, end)
  };

  // `read` is called from any of the threads, at the same time. Threads start with the first take().
  ReadAhead(const Options& options, std::function<Batch(std::int64_t)> read);
  // Waits for the batches that are being read.
  ~ReadAhead();
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  // The batch of `number`, which is waited for where it is not there yet. The numbers after it are read meanwhile:
  // taken in a row they are found read. After a leap what was read ahead is dropped. For one thread at a time.
  Batch take(std::int64_t number);

 private:
  // The place of numbers ≡ i mod depth.
  struct Slot {
    std::int64_t number = -1;  // that it holds or is to hold; -1: none
    bool ready = false;
    Batch batch;
    std::exception_ptr error;
  };

  Slot& slot(std::int64_t number) { return slots_[static_cast<std::size_t>(number % options_.depth)]; }
  void leap_to(std::int64_t number);
  void run();

  const Options options_;
  const std::function<Batch(std::int64_t)> read_;

  std::mutex mutex_;
  std::condition_variable wanted_;  // there is something to read, or it is over
  std::condition_variable ready_;   // a slot has become ready
  std::vector<Slot> slots_;
  std::int64_t next_taken_ = -1;  // -1: nothing was taken yet
  std::int64_t next_read_ = 0;    // the first number that no thread has begun
  bool over_ = false;
  std::vector<std::jthread> threads_;  // last: they use what stands above
};

}  // namespace convoy::worker
