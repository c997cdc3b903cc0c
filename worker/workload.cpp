#include "worker/workload.h"

namespace convoy::worker {

TaskSpec task_of(const Dataset& dataset, const DataRecipe& recipe) {
  const SampleSpec inputs = dataset.input_spec();
  return {.dtype = inputs.dtype, .shape = inputs.shape, .classes = dataset.classes(), .data_kind = recipe.kind};
}

}  // namespace convoy::worker
