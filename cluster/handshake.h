// Whether a hub lets somebody in, asked before anything depends on it.
#pragma once

#include <chrono>
#include <cstdint>

#include "cluster/link.h"

namespace convoy::cluster {

enum class Handshake : std::uint8_t {
  kAccepted,
  kRefused,    // whoever listens there is another run's hub, or none
  kUnanswered  // by then: it may be busy
};

// Connects, shakes hands and hangs up; the hub hears of nobody. Throws Error(kInvalidArgument) for a malformed token,
// Error(kUnavailable) for an address or key that cannot be used.
Handshake shake_hands(const Credentials& credentials, std::chrono::milliseconds limit);

}  // namespace convoy::cluster
