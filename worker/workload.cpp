#include "worker/workload.h"

namespace convoy::worker {

TaskSpec task_of(const Dataset& dataset, const Recipe& recipe) {
  const SampleSpec inputs = dataset.input_spec();
  const DType activations = activation_dtype(recipe.train);
  return {.dtype = is_floating(inputs.dtype) ? activations : inputs.dtype,
          .shape = inputs.shape,
          .classes = dataset.classes(),
          .data_kind = recipe.data.kind,
          .activations = activations};
}

}  // namespace convoy::worker
