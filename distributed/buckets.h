// How a model's parameters lie in memory: one arena, cut into buckets. A bucket is a contiguous slice that holds whole
// parameters of one group: the unit of synchronisation and of the optimizer's kernels.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace convoy::distributed {

// Every parameter starts on this grid, so that cuts of buckets and of the ranks' slices fall on the chunks over which
// norms are summed.
inline constexpr std::int64_t kChunkElements = 1024;

struct ParameterExtent {
  std::string name;
  std::int64_t elements = 0;
  std::int32_t group = 0;
  bool is_gradient = true;  // what is summed for it; other sums are left out of the gradient's norm
};

struct Bucket {
  std::int32_t group = 0;
  std::int64_t begin = 0;  // elements of the arena
  std::int64_t end = 0;
  std::vector<std::size_t> parameters;  // indices into what the layout was made of, in arena order
  std::int64_t elements() const { return end - begin; }
};

class BucketLayout {
 public:
  // `parameters` in the order of declaration. Buckets are filled from the last parameter to the first, as the backward
  // pass finishes their gradients, and closed once they hold `bucket_bytes` of fp32 (a larger parameter has a bucket
  // of its own).
  BucketLayout(std::vector<ParameterExtent> parameters, std::int64_t bucket_bytes);

  const std::vector<ParameterExtent>& parameters() const { return parameters_; }
  std::span<const Bucket> buckets() const { return buckets_; }
  std::size_t bucket_of(std::size_t parameter) const { return bucket_of_[parameter]; }
  std::int64_t offset(std::size_t parameter) const { return offsets_[parameter]; }  // elements
  std::int64_t elements() const { return elements_; }                // of the whole arena, padding included
  std::span<const std::size_t> by_name() const { return by_name_; }  // parameter indices in name order

  // "0:4096 4096:8192": equal on every worker, or their sums would not meet.
  std::string cuts() const;

 private:
  std::vector<ParameterExtent> parameters_;
  std::vector<Bucket> buckets_;
  std::vector<std::int64_t> offsets_;
  std::vector<std::size_t> bucket_of_;
  std::vector<std::size_t> by_name_;
  std::int64_t elements_ = 0;
};

}  // namespace convoy::distributed
