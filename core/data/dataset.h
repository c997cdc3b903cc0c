// What a model is trained on: numbered samples in a training and a held-out split. The order in which they are read is
// core/data/sample_order.h's business; who reads them is nobody's here: there is no rank in this folder.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "core/base/recipe.h"
#include "core/tensor/tensor.h"

namespace convoy {

enum class Split { kTrain, kEval };

// One side (inputs or targets) of a single sample.
struct SampleSpec {
  DType dtype = DType::kF32;
  Shape shape;
};

// A sample as it is asked for: which one, in which pass over the data.
struct SampleId {
  std::int64_t number = 0;  // in [0, size(split)); -1: padding
  std::int64_t epoch = 0;   // data epoch, from 0: tells augmentation's draws apart
  bool operator==(const SampleId&) const = default;
};

// `samples` samples stacked along a new first dimension; contiguous, in host memory.
struct Batch {
  Tensor inputs;
  Tensor targets;
};

// Immutable after opening; read() may be called from any thread. Pictures are f32 [height, width, channels]. Whatever
// is random in a sample (augmentation) is a pure function of (the run's seed, SampleId), whoever reads it.
class Dataset {
 public:
  virtual ~Dataset() = default;

  // Samples: at least 1 to train on; with 0 held out, runs evaluate nothing.
  virtual std::int64_t size(Split split) const = 0;
  virtual SampleSpec input_spec() const = 0;
  virtual SampleSpec target_spec() const = 0;  // i32: classes in [0, classes()), or -1: not counted in the loss
  virtual std::int64_t classes() const = 0;
  virtual std::int64_t tokens_per_sample() const { return 0; }  // 0 when the samples are not text
  // XXH3-128 (32 hex digits) of all samples, by which workers on different machines can tell that they read the same.
  // Reads everything once (as of data epoch 0, where that matters).
  virtual std::string digest() const;

  // Reads samples[i] of `split` into row i of both tensors of `into`; padding: inputs 0, targets -1. Throws
  // Error(kInvalidArgument) for other numbers outside [0, size(split)) and for tensors that do not fit.
  void read(Split split, std::span<const SampleId> samples, const Batch& into) const;

 private:
  // One sample into memory for exactly one sample: row-major, of the specs' dtypes. Split and number are checked. From
  // several threads at once.
  virtual void read_sample(Split split, SampleId sample, void* input, std::int32_t* target) const = 0;
};

// Uninitialised tensors for `samples` samples.
// Of its inputs and targets.
Specs batch_specs(const Dataset& dataset, std::int64_t samples, Device& device);
Batch make_batch(const Dataset& dataset, std::int64_t samples, Device& device);

// Opens what [data] of a recipe describes; `seed` (train.seed) keys augmentation. Throws Error(kUsage) that names the
// file and what was expected of it.
std::unique_ptr<Dataset> open_dataset(const DataRecipe& recipe, std::uint64_t seed = 0);

}  // namespace convoy
