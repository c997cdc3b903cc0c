// data.kind = "text": any file, or all files of a folder, as one sequence of bytes; every byte is a token.
//
// Folder: its regular files at any depth, in the order of their paths, one after the other. Left out are symbolic links
// (most name a file that is there already), names that begin with a dot, and binary files: those with a NUL among the
// first 8,000 bytes, as git tells them.
//
// Of N bytes the last round(N · eval_fraction), at least 1, are held out; core/data/token_windows.h cuts the samples.
#pragma once

#include <memory>

#include "core/data/dataset.h"

namespace convoy {

// Throws Error(kUsage).
std::unique_ptr<Dataset> open_text(const DataRecipe& recipe);

}  // namespace convoy
