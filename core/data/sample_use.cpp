#include "core/data/sample_use.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace convoy {
namespace {

constexpr std::int64_t kNamed = 10;  // of the samples that are wrong in a pass

}  // namespace

SampleUse::SampleUse(SampleOrder order, std::int64_t global_batch, std::int64_t logical_shards)
    : order_(std::move(order)), global_batch_(global_batch), logical_shards_(logical_shards) {}

void SampleUse::use(std::int64_t step, std::int64_t shard) {
  // A step reads on where the one before it stopped.
  close_before((step - 1) * global_batch_ / order_.size());
  for (const SampleId& sample : shard_samples(order_, step - 1, global_batch_, logical_shards_, shard)) {
    ++samples_;
    Epoch& epoch = open_[sample.epoch];
    if (epoch.used.empty()) epoch.used.resize(static_cast<std::size_t>(order_.size()));
    const auto number = static_cast<std::size_t>(sample.number);
    if (!epoch.used[number]) {
      epoch.used[number] = true;
      ++epoch.count;
    } else if (epoch.again++ < kNamed) {
      wrong_.push_back(
          fmt::format("step {}: shard {}: sample {} of data epoch {} again", step, shard, sample.number, sample.epoch));
    }
  }
}

void SampleUse::finish(std::int64_t steps) { close_before(steps * global_batch_ / order_.size()); }

void SampleUse::close_before(std::int64_t epoch) {
  for (; next_ < epoch; ++next_) {
    close(next_, open_[next_]);
    open_.erase(next_);
  }
}

void SampleUse::close(std::int64_t number, const Epoch& epoch) {
  if (epoch.again > kNamed)
    wrong_.push_back(fmt::format("data epoch {}: {} samples more than once", number, epoch.again));
  if (epoch.count == order_.size()) return;
  std::string named;
  std::int64_t left = kNamed;
  for (std::int64_t sample = 0; sample < order_.size() && left > 0; ++sample) {
    if (!epoch.used.empty() && epoch.used[static_cast<std::size_t>(sample)]) continue;
    named += fmt::format("{} {}", named.empty() ? "" : ",", sample);
    --left;
  }
  const std::int64_t missing = order_.size() - epoch.count;
  wrong_.push_back(fmt::format("data epoch {}: {} of {} samples never used:{}{}", number, missing, order_.size(), named,
                               missing > kNamed ? ", …" : ""));
}

}  // namespace convoy
