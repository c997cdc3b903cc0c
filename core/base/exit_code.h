// Exit codes of the program beside 0 (done), 1 (the run failed) and 2 (wrong usage or recipe).
#pragma once

namespace convoy {

// Stopped by a signal after a checkpoint: run again to go on. Batch systems requeue on it (EX_TEMPFAIL).
inline constexpr int kExitStopped = 75;

}  // namespace convoy
