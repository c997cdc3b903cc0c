// data.kind = "text": any file, or all files of a folder, as one sequence of bytes; every byte is a token.
//
// Folder: its regular files at any depth, in the order of their paths, one after the other. Left out are symbolic links
// (most name a file that is there already), names that begin with a dot, and binary files: those with a NUL among the
// first 8,000 bytes, as git tells them.
//
// Splits: of N bytes the last E = round(N · eval_fraction), at least 1, are held out; T = N - E train. Samples are
// windows of C = context tokens side by side:
// - train sample i: inputs bytes [i·C, i·C + C), targets the same moved on by one; ⌊(T - 1) / C⌋ samples, so that no
//   target lies in the held-out tail, and the rest that fills no window is dropped;
// - eval sample i: inputs bytes [T - 1 + i·C, T - 1 + i·C + C), targets moved on by one; ⌈E / C⌉ samples, the last one
//   padded (inputs 0, targets -1), so that every held-out byte is predicted exactly once.
#pragma once

#include <memory>

#include "core/data/dataset.h"

namespace convoy {

// Throws Error(kUsage).
std::unique_ptr<Dataset> open_text(const DataRecipe& recipe);

}  // namespace convoy
