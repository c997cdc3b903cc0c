// What a thread does that works while others must not be held up.
#pragma once

#include <vector>

namespace convoy {

// By the system's numbers, ascending.
using Cores = std::vector<int>;

// Those that the calling thread may run on; empty where the system does not say.
Cores allowed_cores();

// The calling thread runs, and reads and writes, when others do not want to, as far as the system allows to say so, and
// on these cores; without any, on those that its creator was bound to. Threads that it starts do the same.
void work_in_background(const Cores& cores = {}) noexcept;

}  // namespace convoy
