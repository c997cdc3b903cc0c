// What a worker has for others of its run that are behind: its state, and the reduced gradient that it keeps. They pull
// it piece by piece (worker/transfer.h) and are answered from threads of the donor's own, so that the training thread
// never waits for them. Those of the same host come by a way of their own (worker/local_donor.h), the others through
// the encrypted transport of the control plane.
#pragma once

#include <atomic>
#include <string>
#include <thread>

#include "cluster/link.h"
#include "cluster/messages.h"
#include "core/base/uuid.h"
#include "worker/local_donor.h"
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
  cluster::Piece piece_for(const Ballot& ballot, const cluster::Pull& pull);

  Shelf shelf_;
  cluster::Hub hub_;
  cluster::Service service_;
  LocalDonor local_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace convoy::worker
