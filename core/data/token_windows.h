// Samples of a sequence of tokens: windows of `context` tokens side by side, each with the same moved on by one as its
// targets.
//
// Of N tokens the first T train and the other E = N - T are held out.
// - train sample i: inputs [i·C, i·C + C), targets moved on by one; ⌊(T - 1) / C⌋ samples, so that no target is held
//   out, and the rest that fills no window is dropped;
// - eval sample i: inputs [B + i·C, B + i·C + C), targets moved on by one, the last one padded (inputs 0, targets -1).
//   Where the held-out tokens follow the others in one text, B = T - 1 and every one of them is predicted exactly once;
//   where they are a text of their own, B = T, and all but its first.
#pragma once

#include <memory>

#include "core/data/dataset.h"
#include "core/data/token_files.h"

namespace convoy {

struct TokenSplit {
  std::int64_t train = 0;    // T
  bool own_text = false;     // whether the held-out tokens are a text of their own
  std::int64_t context = 0;  // C
};

// The tail of one text is held out. `units` is what messages call the tokens ("bytes"), `path` where they are. Throws
// Error(kUsage) where the context leaves nothing to train on, saying how much text it needs.
TokenSplit hold_out_tail(std::int64_t tokens, const DataRecipe& recipe, const char* units);

// T ≥ C + 1; E ≥ 1, and 2 for a text of its own.
std::unique_ptr<Dataset> make_token_windows(TokenFiles tokens, const TokenSplit& split);

}  // namespace convoy
