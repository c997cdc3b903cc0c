// How operators of one operand go over its elements, for those of elementwise.h.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/ops/kernel.h"

namespace convoy {

// run(x, y, n) for pieces of the input and the output, on the device's threads.
template <typename From, typename To, typename Run>
PreparedPtr for_elements(const PrepareArgs& args, const Run& run) {
  return prepared([run, x = args.inputs[0].data<From>(), y = args.outputs[0].data<To>(), n = args.outputs[0].elements(),
                   threads = threads_of(args)] {
    parallel_for(threads, n, kGrain,
                 [&](std::int64_t begin, std::int64_t end) { run(x + begin, y + begin, end - begin); });
  });
}

// A piece of T whose only operand may be one element for all: then run(1) computes it, and it is repeated.
template <typename T, typename Run>
void each_or_one(const TileArgs& args, const Run& run) {
  if (args.count == 0) return;
  run(args.inputs[0].step == 0 ? 1 : args.count);
  auto* const y = static_cast<T*>(args.output);
  if (args.inputs[0].step == 0) std::fill_n(y + 1, args.count - 1, y[0]);
}

}  // namespace convoy
