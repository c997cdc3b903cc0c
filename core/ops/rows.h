// Kernels that go row by row, their rows shared out to the device's threads.
//
// `All` is what such a kernel takes: with rows and width, part(begin, end), the same of those rows alone, and a
// function run() beside it.
#pragma once

#include <cstdint>

#include "core/ops/kernel.h"

namespace convoy {

template <typename All>
void run_rows(int threads, const All& all) {
  parallel_for(threads, all.rows, row_grain(all.width),
               [&](std::int64_t begin, std::int64_t end) { run(all.part(begin, end)); });
}

template <typename All>
PreparedPtr prepared_rows(const PrepareArgs& args, const All& all) {
  return prepared([all, threads = threads_of(args)] { run_rows(threads, all); });
}

}  // namespace convoy
