// The second connection between two workers, on which nothing is said until one of them ends it, and what that end
// means.
#pragma once

namespace convoy::distributed {

enum class TcpEnd {
  kNone,        // the peer is there
  kLeft,        // it is done, and said so
  kAborted,     // it gave up, and said so
  kGone,        // it said nothing: mostly its process died
  kUnreachable  // nothing gets through to its host any more
};

void say_leaving(int watch) noexcept;
void say_aborting(int watch) noexcept;
// What has arrived; of a socket that does not block.
TcpEnd hear_end(int watch) noexcept;

}  // namespace convoy::distributed
