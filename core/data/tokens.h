// data.kind = "tokens": token numbers as nanoGPT and llm.c write them to .bin files, memory-mapped.
//
// A file is either headerless, 16-bit numbers from its first byte (nanoGPT), or begins with llm.c's header of 256
// 32-bit words: magic 20240520, version 1, for 16-bit tokens of GPT-2, or 20240801, version 7, for 32-bit tokens of
// Llama 3; then the number of tokens. All numbers are little-endian.
//
// data.path names a file, a folder (its *.bin), or a pattern of files (the last component may hold * ? [ ]); several
// are taken in the order of their names as one sequence. Where some of the names hold "train" and some "val"
// (train.bin and val.bin, fineweb_val_000000.bin), those train and these are held out, and other files are left out;
// otherwise the last round(N · eval_fraction) of N tokens, at least 1, are held out. core/data/token_windows.h cuts the
// samples.
//
// data.vocabulary: the number of tokens there are. 0 takes it from the header, 50,257 or 128,256; without a header it
// has to be given. Tokens are checked against it when the data set is opened up to 16 Mi of them, and always when they
// are read.
#pragma once

#include <memory>

#include "core/data/dataset.h"

namespace convoy {

// Throws Error(kUsage) that names the file or the key.
std::unique_ptr<Dataset> open_tokens(const DataRecipe& recipe);

}  // namespace convoy
