// What a donor can give, as its owner says.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>

#include "core/base/ballot.h"
#include "worker/pieces.h"
#include "worker/pull.h"

namespace convoy::worker {

// What there is for a pull.
struct Offer {
  enum class Kind : std::uint8_t {
    kNever,   // another donor may have it
    kNotYet,  // this worker has not entered that epoch so far: it is asked again in a moment
    kHere
  };
  Kind kind = Kind::kNever;
  Parts parts{};  // one after the other they are what is given

  // Of an answer.
  std::int64_t total() const {
    return kind == Kind::kHere ? total_bytes(parts) : kind == Kind::kNotYet ? kNotHereYet : kNeverHere;
  }
};

// Called for every piece, before it is read and again afterwards: what is no longer offered by then is not given. So an
// offer must end before its bytes change, and must not be made again once they have. On the donor's threads, one call
// at a time; must not throw.
using Find = std::function<Offer(const Ballot&, const Pull&)>;

// The offers, for all who read what they point to.
struct Shelf {
  Find find;
  std::mutex reading;  // held while find() is called and while bytes of an offer are read
};

}  // namespace convoy::worker
