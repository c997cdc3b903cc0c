// This worker's part in the membership, between two threads: the reporter's, which hears seals and epochs, and the
// training thread, which works in them. Participant decides; this is its lock, and where the training thread waits.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <variant>
#include <vector>

#include "cluster/messages.h"
#include "worker/offer.h"
#include "worker/participant.h"
#include "worker/pull.h"

namespace convoy::worker {

// What the training thread is to do next.
struct EnterEpoch {  // meet the members of this epoch and go on with the step after resume_step
  Ballot ballot;
  cluster::Epoch epoch;
  std::stop_token sealed;  // it is over, or the run is
};
struct FetchState {  // first get to where the epoch goes on
  Fetch fetch;
  cluster::Epoch epoch;
  std::stop_token sealed;
};
struct RunIsOver {};  // see the reporter why, or: the final report stands on record
using Task = std::variant<EnterEpoch, FetchState, RunIsOver>;

class EpochSession {
 public:
  // `answer` sends a message to the scheduler under a ballot and returns at once. `abort` makes the communication of
  // the epoch that was entered last fail soon. Both are called by whichever thread, under this object's lock.
  EpochSession(const Uuid& self, std::function<void(const Ballot&, cluster::SealAnswer)> answer,
               std::function<void()> abort);

  // By the reporter's thread.
  void on_seal(const Ballot& ballot, const cluster::Seal& seal);
  void on_epoch(const Ballot& ballot, const cluster::Epoch& epoch);
  // Whatever the training thread does or waits for: the run is over.
  void end();

  // By the training thread. begin() and reduced() as in Participant; what follows a false is a task.
  bool begin() { return participant_.begin(); }
  bool reduced() { return participant_.reduced(); }
  void applied(std::uint64_t checksum);
  void restored(const Ballot& ballot);
  void no_gradient(const Ballot& ballot);
  // Members of the epoch `ballot` to which nothing gets through; part of the next answer.
  void unreachable(const Ballot& ballot, const std::vector<Uuid>& peers);
  bool has_task() const;
  // Waits for one. Throws Error(kInternal) where the protocol was broken: this process must end.
  Task next_task();

  // By any thread.
  cluster::Standing standing() const;
  std::int64_t steps_applied() const;
  Ballot entered() const;
  // Whether a peer that fetches under `ballot` may have this from here.
  Offer::Kind offers(const Ballot& ballot, Pull::What what, std::int64_t step) const;

 private:
  void carry_out(Duties duties);

  const std::function<void(const Ballot&, cluster::SealAnswer)> answer_;
  const std::function<void()> abort_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Participant participant_;
  cluster::Epoch epoch_;      // the one announced last
  std::stop_source sealed_;   // of the epoch entered last
  std::optional<Task> task_;  // the newest; older ones are void
  std::optional<std::string> fault_;
  bool over_ = false;
};

}  // namespace convoy::worker
