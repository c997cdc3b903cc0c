// One connection to a donor: somebody who proves to know the run's token, asks, and is answered.
#pragma once

#include <poll.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "core/base/hash.h"
#include "core/base/unique_fd.h"
#include "core/base/uuid.h"
#include "worker/donor_wire.h"
#include "worker/offer.h"

namespace convoy::worker {

class DonorGuest {
 public:
  using Clock = std::chrono::steady_clock;

  // `socket` does not block. Who is of our user on this host may be told where bytes lie. Keeps references.
  DonorGuest(UniqueFd socket, const Uuid& donor, const std::string& token, Shelf& shelf);

  // Goes on with what it is at as far as the socket lets it, once that is ready for it. False: the connection is over.
  bool go_on() noexcept;
  pollfd interest() const;
  // Nothing, once it is known to be of the run.
  std::optional<Clock::time_point> stranger_since() const;

 private:
  enum class State { kHello, kProof, kQuestion, kAnswer };

  template <class Value>
  bool read(Value& value);
  bool send(Places& places);
  bool challenge();
  Offer look() { return shelf_.find(question_.ballot(), question_.pull()); }
  void begin_answer();
  std::int64_t payload_bytes() const;
  void add_payload(std::int64_t done, Places& places);
  bool answer();

  const UniqueFd socket_;
  const Uuid& donor_;
  const std::string& token_;
  Shelf& shelf_;
  const bool is_near_;  // see above
  const Clock::time_point since_ = Clock::now();
  State state_ = State::kHello;
  bool open_ = true;

  std::int64_t received_ = 0;  // of what is read now, one of these:
  DonorHello hello_;
  DonorProof proof_;
  DonorQuestion question_;

  DonorChallenge challenge_;
  std::int64_t sent_ = 0;  // of header, bytes and verdict
  DonorHeader header_;
  std::vector<DonorPlace> places_;
  std::optional<DonorVerdict> verdict_;
  Xxh3Hasher64 hasher_;
};

}  // namespace convoy::worker
