#include "launcher/lifeline.h"

#include <fcntl.h>

#include <cerrno>
#include <csignal>
#include <thread>

#include "cluster/place.h"
#include "core/base/error.h"

namespace convoy::launcher {

void watch_lifeline(int descriptor) {
  if (fcntl(descriptor, F_GETFD) < 0) {
    fail(ErrorCode::kUsage, "{}={} is not an open descriptor; the variable is set by `convoy launch` only",
         cluster::kLifelineVariable, descriptor);
  }
  // The thread must not take signals that the process collects elsewhere.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread([descriptor] {
    char byte = 0;
    ssize_t got = 0;
    do {
      got = read(descriptor, &byte, 1);
    } while (got > 0 || (got < 0 && errno == EINTR));
    kill(getpid(), SIGKILL);
  }).detach();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace convoy::launcher
