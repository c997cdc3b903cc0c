// A port that stays a run's own while nobody listens at it: a hub that was started anew is found at the address of the
// one before. Without it the port might be given to any connection, even to one of the links that try to find the hub.
#pragma once

#include <string>

#include "core/base/unique_fd.h"

namespace convoy::cluster {

// Bound, but nobody listens: connections are refused until a Hub is bound to the same address, by whatever process.
class ReservedPort {
 public:
  // `listen` is an IPv4 address like "tcp://127.0.0.1:0"; port 0 takes a free one. Throws Error(kUnavailable) with
  // address and errno, Error(kInvalidArgument) for what is no such address.
  explicit ReservedPort(const std::string& listen);

  const std::string& address() const { return address_; }  // with the port

 private:
  UniqueFd socket_;
  std::string address_;
};

}  // namespace convoy::cluster
