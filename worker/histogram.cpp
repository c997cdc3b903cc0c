#include "worker/histogram.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <mutex>

#include "core/device/parallel.h"

namespace convoy::worker {
namespace {

constexpr std::int64_t kPiece = 1 << 16;  // values whose sums are added up apart, whoever counts them

std::vector<double> make_limits() {
  std::vector<double> positive;
  for (double limit = 1e-12; limit < 1e20; limit *= 1.1) positive.push_back(limit);
  positive.push_back(std::numeric_limits<double>::max());
  std::vector<double> limits;
  for (auto limit = positive.rbegin(); limit != positive.rend(); ++limit) limits.push_back(-*limit);
  limits.push_back(0.0);
  limits.insert(limits.end(), positive.begin(), positive.end());
  return limits;
}

// Finds a value's bucket by the upper half of its bits. All floats that share it differ by less than 1 %, so that at
// most one limit lies among them, and one comparison decides.
class BucketTable {
 public:
  BucketTable() {
    const std::vector<double>& limits = histogram_limits();
    for (std::uint32_t upper = 0; upper < first_.size(); ++upper) {
      const bool negative = (upper & 0x8000) != 0;
      const auto least = std::bit_cast<float>(upper << 16 | (negative ? 0xffffU : 0U));
      if (!(std::abs(least) <= std::numeric_limits<float>::max())) continue;  // nothing finite begins like that
      first_[upper] =
          static_cast<std::uint16_t>(std::upper_bound(limits.begin(), limits.end(), double{least}) - limits.begin());
    }
  }
  std::size_t operator()(float value) const {
    const std::size_t bucket = first_[std::bit_cast<std::uint32_t>(value) >> 16];
    return bucket + (value >= limits_[bucket] ? 1 : 0);
  }

 private:
  std::array<std::uint16_t, 1 << 16> first_{};
  const double* limits_ = histogram_limits().data();
};

struct Moments {
  float min = std::numeric_limits<float>::infinity();
  float max = -std::numeric_limits<float>::infinity();
  double count = 0.0;
  double sum = 0.0;
  double sum_squares = 0.0;
};

using Counts = std::vector<std::int64_t>;

Moments count_piece(const BucketTable& bucket_of, std::span<const float> values, float scale, Counts& counts) {
  Moments moments;
  for (const float plain : values) {
    const float value = plain * scale;
    if (!(std::abs(value) <= std::numeric_limits<float>::max())) continue;
    ++counts[bucket_of(value)];
    moments.min = std::min(moments.min, value);
    moments.max = std::max(moments.max, value);
    moments.count += 1.0;
    moments.sum += value;
    moments.sum_squares += static_cast<double>(value) * value;
  }
  return moments;
}

// Keeps what TensorBoard needs of the buckets.
void take_buckets(const Counts& counts, Histogram& histogram) {
  const auto counted = [](std::int64_t count) { return count > 0; };
  const auto first = std::find_if(counts.begin(), counts.end(), counted);
  const auto end = std::find_if(counts.rbegin(), counts.rend(), counted).base();
  for (auto count = first; count < end; ++count) {
    const double limit = histogram_limits()[static_cast<std::size_t>(count - counts.begin())];
    if (*count == 0 && !histogram.counts.empty() && histogram.counts.back() == 0.0) {
      histogram.limits.back() = limit;
      continue;
    }
    histogram.limits.push_back(limit);
    histogram.counts.push_back(static_cast<double>(*count));
  }
}

}  // namespace

const std::vector<double>& histogram_limits() {
  static const std::vector<double> limits = make_limits();
  return limits;
}

Histogram histogram_of(std::span<const float> values, float scale, int threads) {
  static const BucketTable bucket_of;
  const auto n = static_cast<std::int64_t>(values.size());
  const std::int64_t pieces = (n + kPiece - 1) / kPiece;
  std::vector<Moments> moments(static_cast<std::size_t>(pieces));
  Counts total(histogram_limits().size());
  std::mutex mutex;
  parallel_for(threads, pieces, 1, [&](std::int64_t begin, std::int64_t end) {
    Counts counts(total.size());
    for (std::int64_t piece = begin; piece < end; ++piece) {
      const auto at = static_cast<std::size_t>(piece * kPiece);
      moments[static_cast<std::size_t>(piece)] =
          count_piece(bucket_of, values.subspan(at, std::min<std::size_t>(kPiece, values.size() - at)), scale, counts);
    }
    const std::lock_guard lock(mutex);
    for (std::size_t i = 0; i < total.size(); ++i) total[i] += counts[i];
  });

  Histogram histogram;
  Moments whole;
  for (const Moments& piece : moments) {
    whole.min = std::min(whole.min, piece.min);
    whole.max = std::max(whole.max, piece.max);
    histogram.count += piece.count;
    histogram.sum += piece.sum;
    histogram.sum_squares += piece.sum_squares;
  }
  if (histogram.count == 0.0) return histogram;
  histogram.min = whole.min;
  histogram.max = whole.max;
  take_buckets(total, histogram);
  return histogram;
}

}  // namespace convoy::worker
