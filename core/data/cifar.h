// data.kind = "cifar": CIFAR-10 and CIFAR-100 in their binary versions (32 × 32 colour pixels: samples of shape
// [32, 32, 3]), memory-mapped. data.path is the folder with the files, or the one above as the archives unpack:
// - CIFAR-10 (cifar-10-batches-bin): data_batch_1.bin … data_batch_5.bin train, test_batch.bin is held out;
// - CIFAR-100 (cifar-100-binary): train.bin trains, test.bin is held out; the classes are the 100 fine ones.
// Without the test file the tail of the others is held out, eval_fraction of it (rounded, at least one picture).
#pragma once

#include <memory>

#include "core/data/dataset.h"

namespace convoy {

// Throws Error(kUsage) that names the file and what was expected.
std::unique_ptr<Dataset> open_cifar(const DataRecipe& recipe, std::uint64_t seed);

}  // namespace convoy
