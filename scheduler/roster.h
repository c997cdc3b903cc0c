// Who has come to a run: its workers and the agents that parent them, as people see them (numbers, hosts, processes)
// and as far as the scheduler has heard of them. Who takes part is decided elsewhere (epochs.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cluster/messages.h"
#include "core/base/fingerprint.h"
#include "core/base/uuid.h"

namespace convoy::scheduler {

using Time = std::chrono::steady_clock::time_point;

struct Worker {
  cluster::Member member;  // its rank is the number by which people know it, not its place in an epoch
  bool numbered = false;   // by a launcher, as this scheduler was told
  bool connected = false;  // to this scheduler; a restarted one knows members that have yet to come back
  bool ended = false;      // its process is dead and reaped, or gone with its node
  bool excluded = false;
  bool told_lost = false;         // events.jsonl says what became of it
  bool told_excluded = false;     // events.jsonl says so
  bool exited_as_wished = false;  // its Leave is on its way
  std::optional<cluster::Leave> leave;
  std::string trouble;  // what is wrong with it, one line; empty: nothing that is known

  std::optional<Time> awaited_since;  // since when it owes an answer, to one invitation after another

  // What its heartbeats say.
  Time heard;
  Time moved;           // when its training thread was last seen to get on
  bool silent = false;  // suspected for it
  std::int64_t step = 0;
  cluster::Phase phase = cluster::Phase::kStarting;
  std::uint64_t activity = 0;

  // It can still be talked to and has not left.
  bool present() const { return connected && !ended && !leave; }
};

// "worker 1 (pid 4242)"
std::string title(std::int32_t number, std::int32_t pid);
std::string title(const cluster::Member& member);

class Roster {
 public:
  Worker& add(const cluster::Member& member);
  Worker* find(const Uuid& uuid);
  const Worker* find(const Uuid& uuid) const;
  // The worker that an agent means (its own process, by the number it gave it).
  Worker* find(const Uuid& agent, const cluster::WorkerEnded& ended);

  // Every one that ever came, by number; of one number, in the order of their UUIDs.
  std::vector<Worker*> all();
  std::vector<const Worker*> present() const;
  // Who has this number, and may yet take part.
  const Worker* owner(std::int32_t number) const;
  // For one that the launcher did not number: behind all others.
  std::int32_t next_number(std::int32_t world) const;

  void add_agent(const Uuid& uuid, const cluster::RegisterAgent& agent);
  // False if it was none, or is known to be lost.
  bool lose_agent(const Uuid& uuid);
  std::vector<Uuid> agents() const;
  std::vector<Uuid> agents_at(const std::string& host) const;
  // Those that may have started processes of `host`.
  std::vector<Uuid> agents_of(const std::string& host) const;
  // Somebody on its host reports the end of its process, and can kill it.
  bool has_parent(const Worker& worker) const { return !agents_of(worker.member.host).empty(); }
  // An agent of its host was lost; it is not known whose parent that was.
  bool may_be_orphan(const Worker& worker) const;
  std::optional<std::string> host_of_agent(const Uuid& uuid) const;

 private:
  struct Agent {
    std::string host;
    std::int32_t pid = 0;
    bool connected = true;
  };
  bool is_a_worker_itself(const Agent& agent) const;

  std::map<Uuid, Worker> workers_;
  std::map<Uuid, Agent> agents_;
};

}  // namespace convoy::scheduler
