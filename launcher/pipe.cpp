#include "launcher/pipe.h"

#include <fcntl.h>

#include <cerrno>

#include "core/base/error.h"

namespace convoy::launcher {

Pipe make_pipe() {
  int ends[2] = {-1, -1};
  if (pipe2(ends, O_CLOEXEC) != 0) fail(ErrorCode::kUnavailable, "pipe: {}", errno_text(errno));
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

void set_nonblocking(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

}  // namespace convoy::launcher
