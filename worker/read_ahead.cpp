#include "worker/read_ahead.h"

#include <algorithm>
#include <utility>

namespace convoy::worker {

ReadAhead::ReadAhead(const Options& options, std::function<Batch(std::int64_t)> read)
    : options_(options), read_(std::move(read)), slots_(static_cast<std::size_t>(options.depth)) {}

ReadAhead::~ReadAhead() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  wanted_.notify_all();
}

Batch ReadAhead::take(std::int64_t number) {
  std::unique_lock lock(mutex_);
  if (number != next_taken_) leap_to(number);
  Slot& place = slot(number);
  ready_.wait(lock, [&] { return place.number == number && place.ready; });
  Batch batch = std::exchange(place.batch, {});
  const std::exception_ptr error = std::exchange(place.error, nullptr);
  place.number = -1;
  next_taken_ = number + 1;
  lock.unlock();
  wanted_.notify_one();
  if (error) std::rethrow_exception(error);
  return batch;
}

// What is being read of the old numbers finds its slot given to another number, and is dropped.
void ReadAhead::leap_to(std::int64_t number) {
  for (Slot& place : slots_) place = {};
  next_taken_ = number;
  next_read_ = number;
  if (threads_.empty()) {
    for (int i = 0; i < options_.threads; ++i) threads_.emplace_back([this] { run(); });
  }
  wanted_.notify_all();
}

void ReadAhead::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wanted_.wait(lock, [&] { return over_ || next_read_ < std::min(next_taken_ + options_.depth, options_.end); });
    if (over_) return;
    const std::int64_t number = next_read_++;
    slot(number) = {.number = number, .ready = false, .batch = {}, .error = nullptr};
    lock.unlock();
    Batch batch;
    std::exception_ptr error;
    try {
      batch = read_(number);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    Slot& place = slot(number);
    if (place.number != number || place.ready) continue;  // a leap came between
    place.batch = std::move(batch);
    place.error = error;
    place.ready = true;
    ready_.notify_one();
  }
}

}  // namespace convoy::worker
