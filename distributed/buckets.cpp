#include "distributed/buckets.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

namespace convoy::distributed {
namespace {

std::int64_t padded(std::int64_t elements) { return (elements + kChunkElements - 1) / kChunkElements * kChunkElements; }

}  // namespace

BucketLayout::BucketLayout(std::vector<ParameterExtent> parameters, std::int64_t bucket_bytes)
    : parameters_(std::move(parameters)),
      offsets_(parameters_.size()),
      bucket_of_(parameters_.size()),
      by_name_(parameters_.size()) {
  std::map<std::int32_t, Bucket> open;
  const auto close = [this](Bucket& bucket) {
    if (bucket.parameters.empty()) return;
    bucket.begin = elements_;
    for (const std::size_t parameter : bucket.parameters) {
      offsets_[parameter] = elements_;
      bucket_of_[parameter] = buckets_.size();
      elements_ += padded(parameters_[parameter].elements);
    }
    bucket.end = elements_;
    buckets_.push_back(std::exchange(bucket, Bucket{.group = bucket.group, .parameters = {}}));
  };
  const auto bytes = [this](const Bucket& bucket) {
    std::int64_t sum = 0;
    for (const std::size_t parameter : bucket.parameters) sum += padded(parameters_[parameter].elements) * 4;
    return sum;
  };
  for (std::size_t i = parameters_.size(); i-- > 0;) {
    Bucket& bucket = open[parameters_[i].group];
    bucket.group = parameters_[i].group;
    if (bytes(bucket) + padded(parameters_[i].elements) * 4 > bucket_bytes) close(bucket);
    bucket.parameters.push_back(i);
  }
  for (auto& [group, bucket] : open) close(bucket);

  std::iota(by_name_.begin(), by_name_.end(), std::size_t{0});
  std::sort(by_name_.begin(), by_name_.end(),
            [this](std::size_t a, std::size_t b) { return parameters_[a].name < parameters_[b].name; });
}

std::string BucketLayout::cuts() const {
  std::string text;
  for (const Bucket& bucket : buckets_)
    text += fmt::format("{}{}:{}", text.empty() ? "" : " ", bucket.begin, bucket.end);
  return text;
}

}  // namespace convoy::distributed
