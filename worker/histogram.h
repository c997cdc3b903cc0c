// How the values of a tensor are distributed, in the buckets that TensorBoard's histograms have.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace convoy::worker {

struct Histogram {
  // Of the values that are finite; the others are left out.
  double min = 0.0;
  double max = 0.0;
  double count = 0.0;
  double sum = 0.0;
  double sum_squares = 0.0;
  // counts[i] values lie below limits[i] and not below limits[i - 1]. The first and the last one count something;
  // both are empty where there is nothing to count. A run of empty buckets is one.
  std::vector<double> limits;
  std::vector<double> counts;
};

// The buckets' limits: ±1e-12 · 1.1^k up to 1e20, zero and ± the largest number, ascending.
const std::vector<double>& histogram_limits();

// Of values[i] · scale, on up to `threads` threads; their number does not change a bit.
Histogram histogram_of(std::span<const float> values, float scale, int threads);

}  // namespace convoy::worker
