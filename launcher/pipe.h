// Pipes to and from children.
#pragma once

#include "core/base/unique_fd.h"

namespace convoy::launcher {

struct Pipe {
  UniqueFd read_end;
  UniqueFd write_end;
};
// Both ends close on exec. Throws Error(kUnavailable).
Pipe make_pipe();
// Reads return at once with what there is.
void set_nonblocking(int fd);

}  // namespace convoy::launcher
