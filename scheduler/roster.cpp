#include "scheduler/roster.h"

#include <fmt/format.h>

#include <algorithm>

namespace convoy::scheduler {

std::string title(std::int32_t number, std::int32_t pid) { return fmt::format("worker {} (pid {})", number, pid); }
std::string title(const cluster::Member& member) { return title(member.rank, member.pid); }

Worker& Roster::add(const cluster::Member& member) {
  Worker& worker = workers_[member.uuid];
  worker.member = member;
  return worker;
}

Worker* Roster::find(const Uuid& uuid) {
  const auto found = workers_.find(uuid);
  return found == workers_.end() ? nullptr : &found->second;
}

const Worker* Roster::find(const Uuid& uuid) const {
  const auto found = workers_.find(uuid);
  return found == workers_.end() ? nullptr : &found->second;
}

Worker* Roster::find(const Uuid& agent, const cluster::WorkerEnded& ended) {
  const std::optional<std::string> host = host_of_agent(agent);
  Worker* found = nullptr;
  for (auto& [uuid, worker] : workers_) {
    const cluster::Member& member = worker.member;
    const bool another = worker.numbered && ended.rank >= 0 && member.rank != ended.rank;
    if (member.pid != ended.pid || (host && member.host != *host) || another) continue;
    if (found == nullptr || found->ended) found = &worker;  // numbers of processes come again
  }
  return found;
}

std::vector<Worker*> Roster::all() {
  std::vector<Worker*> found;
  for (auto& [uuid, worker] : workers_) found.push_back(&worker);
  std::stable_sort(found.begin(), found.end(),
                   [](const Worker* a, const Worker* b) { return a->member.rank < b->member.rank; });
  return found;
}

std::vector<const Worker*> Roster::present() const {
  std::vector<const Worker*> found;
  for (const auto& [uuid, worker] : workers_) {
    if (worker.present()) found.push_back(&worker);
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const Worker* a, const Worker* b) { return a->member.rank < b->member.rank; });
  return found;
}

const Worker* Roster::owner(std::int32_t number) const {
  for (const auto& [uuid, worker] : workers_) {
    if (worker.member.rank == number && worker.present() && !worker.excluded) return &worker;
  }
  return nullptr;
}

std::int32_t Roster::next_number(std::int32_t world) const {
  std::int32_t number = world;
  for (const auto& [uuid, worker] : workers_) number = std::max(number, worker.member.rank + 1);
  return number;
}

void Roster::add_agent(const Uuid& uuid, const cluster::RegisterAgent& agent) {
  agents_[uuid] = {.host = agent.host, .pid = agent.pid, .connected = true};
}

bool Roster::lose_agent(const Uuid& uuid) {
  const auto found = agents_.find(uuid);
  return found != agents_.end() && std::exchange(found->second.connected, false);
}

std::vector<Uuid> Roster::agents() const {
  std::vector<Uuid> found;
  for (const auto& [uuid, agent] : agents_) {
    if (agent.connected) found.push_back(uuid);
  }
  return found;
}

std::vector<Uuid> Roster::agents_at(const std::string& host) const {
  std::vector<Uuid> found;
  for (const auto& [uuid, agent] : agents_) {
    if (agent.connected && agent.host == host) found.push_back(uuid);
  }
  return found;
}

std::vector<Uuid> Roster::agents_of(const std::string& host) const {
  std::vector<Uuid> found;
  for (const auto& [uuid, agent] : agents_) {
    if (agent.connected && agent.host == host && !is_a_worker_itself(agent)) found.push_back(uuid);
  }
  return found;
}

bool Roster::may_be_orphan(const Worker& worker) const {
  return std::any_of(agents_.begin(), agents_.end(), [&](const auto& entry) {
    const Agent& agent = entry.second;
    return !agent.connected && agent.host == worker.member.host && !is_a_worker_itself(agent);
  });
}

std::optional<std::string> Roster::host_of_agent(const Uuid& uuid) const {
  const auto found = agents_.find(uuid);
  return found == agents_.end() ? std::nullopt : std::optional(found->second.host);
}

// Under mpirun and srun the worker that brings the scheduler along listens as an agent does, and parents nobody.
bool Roster::is_a_worker_itself(const Agent& agent) const {
  return std::any_of(workers_.begin(), workers_.end(), [&](const auto& entry) {
    return entry.second.member.pid == agent.pid && entry.second.member.host == agent.host;
  });
}

}  // namespace convoy::scheduler
