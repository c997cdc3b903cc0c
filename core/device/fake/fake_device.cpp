#include "core/device/fake/fake_device.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>
#include <utility>

#include "core/base/error.h"

namespace convoy {

FakeDevice::FakeDevice(std::uint64_t seed) : random_(seed) {}

// Launches that never ran may hold the last handles to memory, which comes back while there is somebody to take it.
FakeDevice::~FakeDevice() {
  running_ = true;
  for (std::deque<Item>& queue : queues_) queue.clear();
}

void* FakeDevice::allocate(std::size_t bytes) {
  void* const data = memory_.allocate(bytes);
  if (!running_) log_.push_back(fmt::format("allocate {}: {} bytes", memory_.find(data)->number, bytes));
  return data;
}

void FakeDevice::release(void* data, std::size_t bytes) noexcept {
  FakeMemory::Block* const block = memory_.find(data);
  if (block == nullptr || block->released || block->bytes != bytes) {
    note(fmt::format("{} bytes are released that were not allocated so, or were released before", bytes));
    return;
  }
  block->released = true;
  if (running_) return;
  log_.push_back(fmt::format("release {}", block->number));
  for (const Pending& launch : pending_) {
    if (launch.point.is_before(ordering_.of(Stream::kCompute))) continue;
    for (const Access& access : launch.accesses) {
      if (!overlap(access.range, {data, bytes})) continue;
      note(fmt::format("block {} is released while {} on {} may still use it", block->number, launch.name,
                       name_of(launch.point.stream)));
      break;
    }
  }
  queue(Stream::kCompute).push_back({.kind = Item::Kind::kRelease, .block = data});
}

void FakeDevice::copy(void* to, const void* from, std::size_t bytes) {
  if (running_) {  // a kernel that copies is in its place in the stream already
    std::memcpy(to, from, bytes);
    return;
  }
  const MemoryRange reads[] = {{from, bytes}}, writes[] = {{to, bytes}};
  launch(Stream::kCompute, {"copy", reads, writes, [to, from, bytes] { std::memcpy(to, from, bytes); }});
}

void FakeDevice::launch(Stream stream, Launch launch) {
  Pending made{.point = ordering_.launch(stream), .name = std::string(launch.name), .accesses = {}};
  for (const MemoryRange& range : launch.reads) made.accesses.push_back({range, false});
  for (const MemoryRange& range : launch.writes) made.accesses.push_back({range, true});
  log_.push_back(fmt::format("launch {} on {}: {}", made.name, name_of(stream), check_operands(made)));
  check_races(made);
  pending_.push_back(std::move(made));
  queue(stream).push_back({.kind = Item::Kind::kLaunch, .run = std::move(launch.run)});
  run_some();
}

// Returns the blocks as the log shows them.
std::string FakeDevice::check_operands(const Pending& launch) {
  std::vector<std::string> reads, writes;
  for (const Access& access : launch.accesses) {
    if (access.range.bytes == 0) continue;
    const FakeMemory::Block* const block = memory_.holding(access.range);
    const std::string_view does = access.writes ? "writes" : "reads";
    if (block == nullptr)
      note(fmt::format("{} {} {} bytes that are no memory of the device", launch.name, does, access.range.bytes));
    else if (block->released)
      note(fmt::format("{} {} block {}, which was released", launch.name, does, block->number));
    (access.writes ? writes : reads).push_back(block == nullptr ? "?" : fmt::to_string(block->number));
  }
  return fmt::format("reads {}; writes {}", fmt::join(reads, ", "), fmt::join(writes, ", "));
}

void FakeDevice::check_races(const Pending& launch) {
  for (const Pending& other : pending_) {
    if (other.point.is_before(launch.point.clock)) continue;
    for (const Access& mine : launch.accesses) {
      for (const Access& theirs : other.accesses) {
        if (!(mine.writes || theirs.writes) || !overlap(mine.range, theirs.range)) continue;
        const FakeMemory::Block* const block = memory_.holding(mine.range);
        note(fmt::format("{} on {} {} bytes of block {} that {} on {} {}, and no event orders the two", launch.name,
                         name_of(launch.point.stream), mine.writes ? "writes" : "reads",
                         block == nullptr ? 0 : block->number, other.name, name_of(other.point.stream),
                         theirs.writes ? "writes" : "reads"));
        return;
      }
    }
  }
}

Event FakeDevice::record(Stream stream) {
  const Event event = ordering_.record(stream);
  log_.push_back(fmt::format("record {} on {}", event.number, name_of(stream)));
  queue(stream).push_back({.kind = Item::Kind::kRecord, .event = event.number});
  return event;
}

void FakeDevice::wait(Stream stream, Event event) {
  if (event.number == 0) return;
  if (!ordering_.has(event)) return note(fmt::format("event {} is waited for, which nobody recorded", event.number));
  log_.push_back(fmt::format("wait for {} on {}", event.number, name_of(stream)));
  ordering_.wait(stream, event);
  queue(stream).push_back({.kind = Item::Kind::kWait, .event = event.number});
}

void FakeDevice::synchronize(Event event) {
  log_.push_back(fmt::format("synchronize with {}", event.number));
  if (event.number != 0 && !ordering_.has(event))
    note(fmt::format("event {} is synchronised with, which nobody recorded", event.number));
  while (ordering_.has(event) && event.number != 0 && !completed_.contains(event.number) && run_one()) {
  }
  if (ordering_.has(event) && event.number != 0) ordering_.synchronize(event);
  forget_what_is_over();
  throw_what_is_wrong();
}

void FakeDevice::synchronize() {
  log_.push_back("synchronize");
  while (run_one()) {
  }
  ordering_.synchronize();
  forget_what_is_over();
  throw_what_is_wrong();
}

void FakeDevice::throw_what_is_wrong() {
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  if (violations_.empty()) return;
  const std::vector<std::string> wrong = std::exchange(violations_, {});
  fail(ErrorCode::kInternal, "fake device: {}{}", wrong.front(),
       wrong.size() == 1 ? "" : fmt::format(" (and {} more)", wrong.size() - 1));
}

bool FakeDevice::can_run(const std::deque<Item>& items) const {
  if (items.empty()) return false;
  return items.front().kind != Item::Kind::kWait || completed_.contains(items.front().event);
}

bool FakeDevice::run_one() {
  const std::size_t first = random_() % kStreams;
  for (std::size_t i = 0; i < kStreams; ++i) {
    std::deque<Item>& items = queues_[(first + i) % kStreams];
    if (!can_run(items)) continue;
    Item item = std::move(items.front());
    items.pop_front();
    run(std::move(item));
    return true;
  }
  return false;
}

// Mostly nothing, so that work piles up; then a run of it.
void FakeDevice::run_some() {
  constexpr std::uint64_t kSeldom = 8, kMost = 12;
  if (random_() % kSeldom != 0) return;
  for (std::uint64_t i = random_() % kMost; i > 0 && run_one(); --i) {
  }
}

void FakeDevice::run(Item item) {
  switch (item.kind) {
    case Item::Kind::kRecord:
      completed_.insert(item.event);
      break;
    case Item::Kind::kWait:
      break;
    case Item::Kind::kRelease:
      memory_.poison(item.block);
      break;
    case Item::Kind::kLaunch:
      running_ = true;
      try {
        item.run();
      } catch (...) {
        if (!error_) error_ = std::current_exception();
      }
      running_ = false;
      break;
  }
}

void FakeDevice::forget_what_is_over() {
  std::erase_if(pending_, [&](const Pending& launch) { return launch.point.is_before(ordering_.host()); });
}

}  // namespace convoy
