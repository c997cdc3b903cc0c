// The CURVE keys of a run's control plane. The hub has a fresh pair; every link has the pair that follows from the
// run's token, so the hub recognises who knows the token without the token ever travelling.
#pragma once

#include <string>
#include <string_view>

namespace convoy::cluster {

struct KeyPair {  // 40 characters of Z85 each
  std::string public_key;
  std::string secret_key;
};

KeyPair fresh_key_pair();  // throws Error(kUnavailable)
// Throws Error(kInvalidArgument) unless `token` is 64 hex digits.
KeyPair key_pair_of_token(std::string_view token);

}  // namespace convoy::cluster
