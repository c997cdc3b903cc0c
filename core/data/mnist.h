// data.kind = "mnist": pictures of digits (28 × 28 grey pixels: samples of shape [28, 28, 1]) in IDX files as they are
// published, gzipped or not: train-images-idx3-ubyte[.gz] with train-labels-idx1-ubyte[.gz], and the same with t10k- in
// front.
//
// Where both sets are present, train-* trains and t10k-* is held out; of a single set the tail is, eval_fraction of it
// (rounded to the nearest, at least one picture).
#pragma once

#include <memory>

#include "core/data/dataset.h"

namespace convoy {

// Throws Error(kUsage) that names the file and what was expected.
std::unique_ptr<Dataset> open_mnist(const DataRecipe& recipe, std::uint64_t seed);

}  // namespace convoy
