// The CURVE keys of a run's control plane. Both ends' pairs follow from the run's token: the hub recognises who knows
// the token without the token ever travelling, and a hub that was started anew is recognised by the links of the one
// before.
#pragma once

#include <string>
#include <string_view>

namespace convoy::cluster {

struct KeyPair {  // 40 characters of Z85 each
  std::string public_key;
  std::string secret_key;
};

KeyPair fresh_key_pair();  // throws Error(kUnavailable)
// Both throw Error(kInvalidArgument) unless `token` is 64 hex digits.
KeyPair key_pair_of_token(std::string_view token);      // of every link
KeyPair hub_key_pair_of_token(std::string_view token);  // of the hub: its public key tells nothing of the token

}  // namespace convoy::cluster
