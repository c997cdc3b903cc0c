// What a thread does that works while others must not be held up.
#pragma once

namespace convoy {

// The calling thread runs, and reads and writes, when others do not want to, as far as the system allows to say so.
// Threads that it starts do the same.
void work_in_background() noexcept;

}  // namespace convoy
