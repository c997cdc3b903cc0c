// The name of an abstract Unix socket (one that is in no file system), as the system calls want it.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <string>

namespace convoy::distributed {

class AbstractAddress {
 public:
  // Throws Error(kInvalidArgument) for a name that is empty or too long.
  explicit AbstractAddress(const std::string& name);
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address_); }
  socklen_t length() const { return length_; }

 private:
  sockaddr_un address_{};
  socklen_t length_ = 0;
};

}  // namespace convoy::distributed
