// What a worker has for others of its run that are behind: its state, and the reduced gradient that it keeps. They pull
// it piece by piece (worker/transfer.h) and are answered from a thread of the donor's own, so that the training thread
// never waits for them.
//
// Peers of the same host come through an abstract Unix socket, those of other hosts over TCP. Both prove that they know
// the run's token; the bytes themselves travel unencrypted, as gradients do, straight from where they lie.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "cluster/messages.h"
#include "cluster/socket.h"
#include "core/base/unique_fd.h"
#include "core/base/uuid.h"
#include "worker/donor_guest.h"
#include "worker/offer.h"

namespace convoy::worker {

struct DonorOptions {
  std::string listen = "tcp://127.0.0.1:0";  // "tcp://0.0.0.0:0" where peers are on other hosts
  std::string token;                         // of the run
  Uuid self;
  Find find;
};

class Donor {
 public:
  // Throws Error(kUnavailable) naming the address.
  explicit Donor(DonorOptions options);
  // Within milliseconds, whoever is connected.
  ~Donor();
  Donor(const Donor&) = delete;
  Donor& operator=(const Donor&) = delete;

  // Where peers find it; on a host with several addresses all of them, with commas between.
  const cluster::Service& service() const { return service_; }

  // Returns once no byte is being read that `find` does not offer any more: for whoever withdrew an offer and frees its
  // memory. Not from within `find`, nor under a lock that it takes.
  void settle();

 private:
  void serve();
  void admit(int listener);
  void dismiss_strangers();

  const Uuid self_;
  const std::string token_;
  Shelf shelf_;
  UniqueFd network_;
  UniqueFd local_;
  cluster::Service service_;
  std::vector<std::unique_ptr<DonorGuest>> guests_;
  std::atomic<bool> stopping_ = false;
  cluster::WakeUp wake_;
  std::thread thread_;
};

}  // namespace convoy::worker
