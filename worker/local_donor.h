// A donor's door for peers of the same host: an abstract Unix socket on which the bytes travel unencrypted, straight
// from where they lie to where they belong. Who comes in runs under the same user and knows the run's token.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "cluster/socket.h"
#include "core/base/unique_fd.h"
#include "core/base/uuid.h"
#include "worker/local_wire.h"
#include "worker/offer.h"

namespace convoy::worker {

class LocalDonor {
 public:
  // Listens under the name that follows from `self`. Throws Error(kUnavailable).
  LocalDonor(const Uuid& self, const std::string& token, Shelf& shelf);
  ~LocalDonor();
  LocalDonor(const LocalDonor&) = delete;
  LocalDonor& operator=(const LocalDonor&) = delete;

 private:
  class Guest;
  void serve();
  void admit();

  const LocalHello expected_;
  Shelf& shelf_;
  UniqueFd listener_;
  std::vector<std::unique_ptr<Guest>> guests_;
  std::atomic<bool> stopping_ = false;
  cluster::WakeUp wake_;
  std::thread thread_;
};

}  // namespace convoy::worker
