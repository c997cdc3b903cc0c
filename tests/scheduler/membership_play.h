// A Membership with workers to play, an agent, and a clock that the test moves. Workers answer seals and enter epochs
// by themselves unless they are told not to.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "scheduler/membership.h"

namespace convoy::scheduler {

class Play {
 public:
  struct Player {
    Uuid uuid{};
    std::int32_t rank = -1;  // as the launcher numbered it
    std::int32_t pid = 0;
    std::string host = "node";
    bool answers = true;
    Ballot ballot{};
    cluster::Standing standing{};
  };

  static constexpr std::uint64_t kTerm = 1;
  static constexpr std::int64_t kSteps = 1000;

  explicit Play(std::int32_t world, const Limits& limits = {}, const Past& past = {})
      : Play(MembershipOptions{.world = world, .steps = kSteps, .limits = limits}, past) {}
  explicit Play(const MembershipOptions& options, const Past& past = {}) : machine(options, past, now) {
    for (std::int32_t rank = 0; rank < options.world; ++rank) newcomer(rank, pid_of(rank));
  }

  static std::int32_t pid_of(std::int32_t rank) { return 4240 + rank; }

  void from(const Uuid& sender, cluster::Body body, const Ballot& ballot) {
    add(machine.on_message({.ballot = ballot, .sender = sender, .body = std::move(body)}, now));
  }
  void from(int player, cluster::Body body) {
    from(players.at(player).uuid, std::move(body), players.at(player).ballot);
  }
  void from_agent(cluster::Body body) { from(agent, std::move(body), {}); }
  void enter_agent(const std::string& host = "node") { from_agent(cluster::RegisterAgent{.host = host, .pid = 1}); }
  void enter(int player, const std::string& build = "same") {
    const Player& one = players.at(player);
    cluster::Register message{.rank = one.rank,
                              .host = one.host,
                              .pid = one.pid,
                              .meeting_place = "socket",
                              .donor = {},
                              .fingerprint = {},
                              .standing = one.standing};
    message.fingerprint.add("build", build);
    from(player, message);
  }
  // Everybody, in their first epoch.
  void enter_all() {
    enter_agent();
    for (int player = 0; player < std::ssize(players); ++player) enter(player);
  }
  // Another process, which is yet to register.
  int newcomer(std::int32_t rank, std::int32_t pid) {
    Player player;
    player.uuid.bytes[0] = static_cast<std::uint8_t>(players.size() + 1);
    player.rank = rank;
    player.pid = pid;
    players.push_back(player);
    return static_cast<int>(players.size()) - 1;
  }

  void beat(int player, std::int64_t step, cluster::Phase phase, std::uint64_t activity = 0) {
    from(player,
         cluster::Heartbeat{
             .step = step, .phase = phase, .activity = activity, .applied = players.at(player).standing.applied});
  }
  // All who are in the epoch of the first of them have done the steps up to `step`.
  void steps(std::int64_t step, std::int64_t checkpoint = 0) {
    const Player* first = nullptr;
    for (Player& player : players) {
      if (player.ballot != machine.epoch_ballot()) continue;
      stand(player, step);
      const cluster::StepReport report{.step = step, .ballot = player.ballot};
      if (machine.may_report({.ballot = player.ballot, .sender = player.uuid, .body = report})) first = &player;
    }
    ASSERT_NE(first, nullptr);
    const Uuid leader = first->uuid;
    const Ballot ballot = first->ballot;
    from(leader, cluster::StepReport{.step = step, .ballot = ballot}, ballot);
    if (checkpoint > 0)
      from(leader, cluster::EventReport{.kind = "checkpoint", .step = checkpoint, .detail = "folder"}, ballot);
  }
  void leave(int player, std::int32_t exit_code = 0, const std::string& reason = "", bool ends_run = false) {
    from(player, cluster::Leave{
                     .exit_code = exit_code, .reason = reason, .step = 0, .peak_rss_bytes = 0, .ends_run = ends_run});
  }
  void ended(int player, std::int32_t exit_code, std::int32_t signal, bool replaced = false) {
    players.at(player).answers = false;
    from_agent(cluster::WorkerEnded{.rank = players.at(player).rank,
                                    .pid = players.at(player).pid,
                                    .exit_code = exit_code,
                                    .signal = signal,
                                    .replaced = replaced});
  }
  void killed(int player, bool replaced = false) { ended(player, 0, 9, replaced); }
  void closed(int player) {
    players.at(player).answers = false;
    add(machine.on_closed(players.at(player).uuid, now));
  }
  void tick() { add(machine.on_tick(now)); }
  // Lets time pass as it does: with ticks.
  void pass(std::chrono::milliseconds time) {
    using namespace std::chrono_literals;
    for (; time > 1s; time -= 1s) {
      now += 1s;
      tick();
    }
    now += time;
    tick();
  }

  // Does what the actions ask of workers that answer, and of those it concerns.
  void add(Actions more) {
    actions.insert(actions.end(), more.begin(), more.end());
    if (pumping_) return;
    pumping_ = true;
    for (; handled_ < actions.size(); ++handled_) {
      const Send* found = std::get_if<Send>(&actions[handled_]);
      if (found == nullptr) continue;
      const Send send = *found;
      for (Player& player : players) {
        if (player.uuid == send.to && player.answers) receive(player, send);
      }
    }
    pumping_ = false;
  }

  template <typename Kind>
  std::vector<Kind> sent_to(const Uuid& to) const {
    std::vector<Kind> found;
    for (const Action& action : actions) {
      const Send* send = std::get_if<Send>(&action);
      if (send != nullptr && send->to == to && std::holds_alternative<Kind>(send->body)) {
        found.push_back(std::get<Kind>(send->body));
      }
    }
    return found;
  }
  template <typename Kind>
  std::vector<Kind> sent_to(int player) const {
    return sent_to<Kind>(players.at(player).uuid);
  }
  // The reason of the one Stop that went there, or what went wrong.
  std::string stop_of(int player) const {
    const auto stops = sent_to<cluster::Stop>(player);
    return stops.size() == 1 ? stops[0].reason : std::to_string(stops.size()) + " Stops";
  }
  std::vector<Event> events(const std::string& kind) const {
    std::vector<Event> found;
    for (const Action& action : actions) {
      const Event* event = std::get_if<Event>(&action);
      if (event != nullptr && event->kind == kind) found.push_back(*event);
    }
    return found;
  }
  std::vector<std::string> told() const {
    std::vector<std::string> found;
    for (const Action& action : actions) {
      if (const Tell* tell = std::get_if<Tell>(&action)) found.push_back(tell->text);
    }
    return found;
  }
  template <typename Kind>
  std::vector<Kind> journalled() const {
    std::vector<Kind> found;
    for (const Action& action : actions) {
      const Append* append = std::get_if<Append>(&action);
      if (append != nullptr && std::holds_alternative<Kind>(append->record))
        found.push_back(std::get<Kind>(append->record));
    }
    return found;
  }
  // Of the last epoch, by number in this play.
  std::vector<int> members() const {
    std::vector<int> found;
    const auto epochs = journalled<EpochRecord>();
    if (epochs.empty()) return found;
    for (const cluster::Member& member : epochs.back().epoch.members) {
      for (int i = 0; i < std::ssize(players); ++i) {
        if (players[i].uuid == member.uuid) found.push_back(i);
      }
    }
    return found;
  }
  int exit_code() const { return machine.outcome() ? machine.outcome()->exit_code : -1; }
  std::string reason() const { return machine.outcome() ? machine.outcome()->reason : "not ended"; }

  Time now{};
  Membership machine;
  std::vector<Player> players;
  const Uuid agent = Uuid::random();
  Actions actions;

 private:
  static void stand(Player& player, std::int64_t step) {
    player.standing.applied = step;
    player.standing.chain = 1000 + static_cast<std::uint64_t>(step);
    player.standing.previous_chain = player.standing.chain - 1;
  }
  void receive(Player& player, const Send& send) {
    if (const auto* seal = std::get_if<cluster::Seal>(&send.body)) {
      const bool kept = seal->keep != Ballot{} && seal->keep == player.standing.entered;
      player.standing.sealed = send.ballot;
      if (player.standing.has_state && seal->at_step > player.standing.applied) stand(player, seal->at_step);
      from(player.uuid, cluster::SealAnswer{.standing = player.standing, .kept = kept, .unreachable = {}}, send.ballot);
    } else if (const auto* epoch = std::get_if<cluster::Epoch>(&send.body)) {
      player.ballot = player.standing.entered = send.ballot;
      player.standing.has_state = true;
      player.standing.applied = epoch->resume_step;
      player.standing.chain = epoch->chain;
      player.standing.previous_chain = epoch->previous_chain;
      from(player.uuid, cluster::Heartbeat{.step = epoch->resume_step, .applied = epoch->resume_step}, player.ballot);
    } else if (std::holds_alternative<cluster::Copy>(send.body)) {
      from(player.uuid, cluster::Ready{.step = 0}, player.ballot);
    }
  }

  std::size_t handled_ = 0;
  bool pumping_ = false;
};

}  // namespace convoy::scheduler
