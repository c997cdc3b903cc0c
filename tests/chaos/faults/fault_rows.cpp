#include "tests/chaos/faults/fault_rows.h"

#include <fmt/format.h>

#include <cctype>

namespace convoy::chaos {
namespace {

// Steps that were applied when it happens: in the middle of everything, before the first checkpoint, or after it.
constexpr int kEarly = 7;
constexpr int kLate = 17;

// "mid_update" → "MidUpdate".
std::string title(const std::string& words) {
  std::string text;
  bool upper = true;
  for (const char letter : words) {
    if (letter == '_') {
      upper = true;
      continue;
    }
    text += upper ? static_cast<char>(std::toupper(static_cast<unsigned char>(letter))) : letter;
    upper = false;
  }
  return text;
}

std::string blow(const std::string& who, const std::string& instant, int step, const std::string& what = "KILL") {
  return fmt::format("{}@{}@{}={}", who, instant, step, what);
}
std::string blow(int who, const std::string& instant, int step, const std::string& what = "KILL") {
  return blow(std::to_string(who), instant, step, what);
}

// An instant that every worker comes by.
struct Instant {
  std::string name;     // of the rows
  std::string instant;  // of the program
  int step;
  std::string later = "";  // "+MICROSECONDS"
};

std::vector<Instant> instants_of_a_worker() {
  return {{"register", "register", 0},
          {"registered", "registered", 0},
          {"connect", "connect", 0},
          {"compute", "compute", kEarly},
          {"mid_compute", "compute", kEarly, "+1500"},
          {"shard", "shard", kEarly},
          {"reduce", "reduce", kEarly},
          {"mid_reduce", "bucket", kEarly},
          {"mid_reduce_later", "reduce", kEarly, "+150"},
          {"reduced", "reduced", kEarly},
          {"update", "update", kEarly},
          {"mid_update", "update", kEarly, "+100"},
          {"updated", "updated", kEarly},
          {"applied", "applied", kEarly + 1},
          {"evaluate", "evaluate", kEvery},
          {"mid_evaluate", "evaluate", kEvery, "+1000"},
          {"finish", "finish", kSteps},
          {"mid_finish", "finish", kSteps, "+2000"}};
}

// Killed, one at a time: the leader, and the last one.
void add_killed(int workers, std::vector<Fault>& faults) {
  for (const Instant& at : instants_of_a_worker()) {
    for (const int victim : {0, workers - 1}) {
      const bool may_miss = at.instant == "finish" && !at.later.empty();
      faults.push_back({.name = fmt::format("{}{}", victim == 0 ? "Leader" : "Worker", title(at.name)),
                        .at = blow(victim, at.instant, at.step, "KILL" + at.later),
                        .hit = {victim},
                        .may_miss = may_miss});
    }
  }
  // All write a share of a checkpoint, and the leader gives it its name; the last one holds up the end of the run.
  const int last = workers - 1;
  for (const auto& [name, victim, instant, later] : {std::tuple{"LeaderCheckpoint", 0, "checkpoint", ""},
                                                     {"LeaderMidCheckpoint", 0, "checkpoint", "+1000"},
                                                     {"LeaderCommit", 0, "commit", ""},
                                                     {"LeaderCommitted", 0, "committed", ""},
                                                     {"LeaderSaved", 0, "saved", ""},
                                                     {"WorkerCheckpoint", last, "checkpoint", ""},
                                                     {"WorkerShare", last, "share", ""},
                                                     {"WorkerMidShare", last, "share", "+500"},
                                                     {"WorkerShared", last, "shared", ""}}) {
    for (const int step : {kEvery, kSteps}) {
      const std::string which = step == kSteps ? "Last" : "";
      // Once the last one stands the run may be over before anybody is missed.
      const bool may_miss = step == kSteps && victim != 0 && instant == std::string("shared");
      faults.push_back({.name = name + which,
                        .at = blow(victim, instant, step, std::string("KILL") + later),
                        .hit = {victim},
                        .may_miss = may_miss || (step == kSteps && *later != 0)});
    }
  }
  // Without replacements the run is the smaller for it.
  faults.push_back({.name = "WorkerReduceNoneComes",
                    .at = blow(1, "reduce", kEarly),
                    .hit = {1},
                    .launch = {"--max-restarts", "0"}});
}

// Stopped: it is excluded after the hang limit, killed and replaced.
void add_stopped(int workers, std::vector<Fault>& faults) {
  for (const char* instant : {"connect", "compute", "reduce", "bucket", "update", "evaluate"}) {
    const int step = instant == std::string("connect") ? 0 : instant == std::string("evaluate") ? kEvery : kEarly;
    for (const int victim : {0, workers - 1}) {
      faults.push_back({.name = fmt::format("{}{}Stopped", victim == 0 ? "Leader" : "Worker", title(instant)),
                        .at = blow(victim, instant, step, "STOP"),
                        .hit = {victim}});
    }
  }
  // Two that are stopped once the others may have gone on without them.
  for (const char* instant : {"reduced", "applied"}) {
    const int step = kEarly + (instant == std::string("applied") ? 1 : 0);
    faults.push_back({.name = fmt::format("Worker{}Stopped", title(instant)),
                      .at = blow(workers - 1, instant, step, "STOP"),
                      .hit = {workers - 1}});
  }
  faults.push_back({.name = "LeaderCheckpointStopped", .at = blow(0, "checkpoint", kEvery, "STOP"), .hit = {0}});
  faults.push_back(
      {.name = "WorkerShareStopped", .at = blow(workers - 1, "share", kEvery, "STOP"), .hit = {workers - 1}});
  faults.push_back({.name = "TwoStopped",
                    .at = blow(0, "compute", kEarly, "STOP") + " " + blow(1, "reduce", kEarly, "STOP"),
                    .hit = {0, 1}});
}

// Stopped for a while: shorter than anybody is missed for, or for so long that it comes back when it is being excluded,
// or just has been. Whether it is lost depends on who is quicker; no bit does.
void add_paused(int workers, std::vector<Fault>& faults) {
  const auto pause = [&](const std::string& name, const std::string& at, int milliseconds, std::vector<int> hit) {
    faults.push_back(
        {.name = name, .at = at, .hit = std::move(hit), .may_miss = true, .continued_after_ms = milliseconds});
  };
  for (const char* instant : {"connect", "compute", "reduce", "bucket", "reduced", "update", "applied"}) {
    const bool begins = instant == std::string("connect");
    const int step = begins ? 0 : kEarly + (instant == std::string("applied") ? 1 : 0);
    pause(fmt::format("Worker{}Paused", title(instant)), blow(workers - 1, instant, step, "STOP"), 300, {workers - 1});
    pause(fmt::format("Leader{}PausedTooLong", title(instant)), blow(0, instant, step, "STOP"), 1'050, {0});
  }
  for (const auto& [name, victim, instant] : {std::tuple{"WorkerCheckpoint", workers - 1, "checkpoint"},
                                              {"WorkerShare", workers - 1, "share"},
                                              {"LeaderCommit", 0, "commit"}}) {
    pause(name + std::string("Paused"), blow(victim, instant, kEvery, "STOP"), 300, {victim});
    pause(name + std::string("PausedTooLong"), blow(victim, instant, kEvery, "STOP"), 1'050, {victim});
  }
  pause("WorkerSealedPaused", blow(0, "reduce", kEarly) + " " + blow(1, "sealed", kEarly, "STOP"), 300, {0, 1});
  pause("DonorPaused", blow(workers - 1, "compute", kEarly) + " 1@serve@*=STOP", 300, {workers - 1, 1});
  pause("SchedulerSealPaused", blow(1, "reduce", kEarly) + " " + blow("scheduler", "seal", 2, "STOP"), 300, {1});
  pause("SchedulerJournalPaused", blow(1, "reduce", kEarly) + " " + blow("scheduler", "journal", 2, "STOP"), 300, {1});
  pause("SchedulerAnnouncingPaused", blow(1, "reduce", kEarly) + " " + blow("scheduler", "announcing", 2, "STOP"), 300,
        {1});
}

// More than one, and who is needed most.
void add_together(int workers, std::vector<Fault>& faults) {
  const int last = workers - 1;
  for (const char* instant : {"compute", "reduce", "bucket", "update", "applied"}) {
    const int step = kEarly + (instant == std::string("applied") ? 1 : 0);
    faults.push_back({.name = "Two" + title(instant),
                      .at = blow(0, instant, step) + " " + blow(last, instant, step),
                      .hit = {0, last}});
  }
  // All but one, at different instants.
  std::string others;
  std::vector<int> hit;
  for (int worker = 0; worker < last; ++worker) {
    others += blow(worker, worker % 2 == 0 ? "reduce" : "update", kEarly) + " ";
    hit.push_back(worker);
  }
  faults.push_back({.name = "AllButOne", .at = others, .hit = hit});
  // The only one that has applied the step is gone: the others make it again.
  std::string waits;
  for (int worker = 1; worker < workers; ++worker) waits += " " + blow(worker, "reduced", kEarly, "WAIT+200000");
  faults.push_back({.name = "LastHolderOfTheStep", .at = blow(0, "applied", kEarly + 1) + waits, .hit = {0}});
  // All who have applied it are gone: the last one makes it again, alone.
  Fault holders{.name = "AllHoldersOfTheStep", .at = blow(last, "reduced", kEarly, "WAIT+300000")};
  for (int worker = 0; worker < last; ++worker) {
    holders.at += " " + blow(worker, "applied", kEarly + 1);
    holders.hit.push_back(worker);
  }
  faults.push_back(holders);
  // Sealed between the last bucket and the update, and in the middle of the update: it counts already, or not at all.
  for (const char* instant : {"reduced", "update"}) {
    std::string slow;
    for (int worker = 1; worker < workers; ++worker) slow += " " + blow(worker, instant, kEarly, "WAIT+100000");
    faults.push_back({.name = "SealedAt" + title(instant), .at = blow(0, instant, kEarly) + slow, .hit = {0}});
  }
  // One has not applied it while the others have, and its first donor dies, too.
  const std::string behind = " " + blow(last, "reduced", kEarly, "WAIT+200000");
  faults.push_back({.name = "OneBehind", .at = blow(0, "applied", kEarly + 1) + behind, .hit = {0}});
  faults.push_back({.name = "OneBehindLosesItsDonor",
                    .at = blow(0, "applied", kEarly + 1) + behind + " 1@serve@*=KILL",
                    .hit = {0, 1},
                    .may_miss = true});
  faults.push_back({.name = "OneBehindLosesItsDonorHalfWay",
                    .at = blow(0, "applied", kEarly + 1) + behind + " 1@serve@*=KILL+150",
                    .hit = {0, 1},
                    .may_miss = true});
  faults.push_back({.name = "OneBehindIsKilledWhenItFetches",
                    .at = blow(0, "applied", kEarly + 1) + behind + fmt::format(" {}@catch_up@*=KILL", last),
                    .hit = {0, last},
                    .may_miss = true});
  // Everybody: back to the newest checkpoint, or to the beginning.
  for (const auto& [name, step] : {std::pair{"AllBeforeACheckpoint", kEarly}, {"AllAfterACheckpoint", kLate}}) {
    Fault all{.name = name, .at = ""};
    for (int worker = 0; worker < workers; ++worker) {
      all.at += blow(worker, "reduce", step) + " ";
      all.hit.push_back(worker);
    }
    faults.push_back(all);
  }
  // While an epoch is agreed upon.
  const std::string first = blow(last, "compute", kEarly) + " ";
  faults.push_back({.name = "AnotherWhenSealed", .at = first + blow(1, "sealed", kEarly), .hit = {1, last}});
  faults.push_back({.name = "LeaderWhenSealed", .at = first + blow(0, "sealed", kEarly), .hit = {0, last}});
  faults.push_back(
      {.name = "AnotherStoppedWhenSealed", .at = first + blow(1, "sealed", kEarly, "STOP"), .hit = {1, last}});
  faults.push_back({.name = "AnotherRightAfterItsAnswer",
                    .at = first + blow(1, "sealed", kEarly, "KILL+200"),
                    .hit = {1, last},
                    .may_miss = true});
  faults.push_back({.name = "AnotherWhileItComputesAhead",
                    .at = blow(last, "reduce", kEarly) + " " + blow(1, "sealed", kEarly, "KILL+3000"),
                    .hit = {1, last},
                    .may_miss = true});
  faults.push_back({.name = "AnotherWhenItConnectsAgain", .at = first + blow(1, "connect", kEarly), .hit = {1, last}});
  faults.push_back({.name = "AnotherInTheRedoneStep",
                    .at = blow(last, "reduce", kEarly) + " " + blow(1, "connect", kEarly, "KILL+4000"),
                    .hit = {1, last},
                    .may_miss = true});
  // While the leader writes a checkpoint, in the background of the next step.
  faults.push_back({.name = "WorkerDuringACheckpoint", .at = blow(last, "compute", kEvery), .hit = {last}});
  faults.push_back({.name = "LeaderAndAnotherDuringACheckpoint",
                    .at = blow(0, "compute", kEvery) + " " + blow(1, "reduce", kEvery),
                    .hit = {0, 1}});
  faults.push_back({.name = "LeaderWhenItConnectsAgain", .at = first + blow(0, "connect", kEarly), .hit = {0, last}});
}

// The replacement dies on its way in, and another one comes; or whoever gives it the state dies.
void add_joining(int workers, std::vector<Fault>& faults) {
  const int last = workers - 1;
  const std::string first = blow(last, "compute", kEarly) + " ";
  for (const bool waits : {true, false}) {
    const std::string how = waits ? "" : "WhileTheyTrain";
    for (const auto& [instant, later] : {std::pair{"register", ""},
                                         {"registered", ""},
                                         {"copy", ""},
                                         {"copy", "+300"},
                                         {"copied", ""},
                                         {"sealed", ""},
                                         {"connect", ""},
                                         {"compute", ""},
                                         {"reduce", ""},
                                         {"bucket", ""},
                                         {"update", ""},
                                         {"applied", ""}}) {
      faults.push_back({.name = fmt::format("Replacement{}{}{}", *later == 0 ? "" : "Mid", title(instant), how),
                        .at = first + fmt::format("{}+@{}@*=KILL{}", last, instant, later),
                        .hit = {last},
                        .replacements_hit = 1,
                        .waits = waits,
                        .may_miss = !waits});
    }
    faults.push_back({.name = "ReplacementJoins" + how, .at = first, .hit = {last}, .waits = waits});
  }
  faults.push_back({.name = "ReplacementStoppedInItsCopy",
                    .at = first + fmt::format("{}+@copy@*=STOP", last),
                    .hit = {last},
                    .replacements_hit = 1,
                    .waits = true});
  faults.push_back({.name = "ReplacementStoppedWhenItConnects",
                    .at = first + fmt::format("{}+@connect@*=STOP", last),
                    .hit = {last},
                    .replacements_hit = 1,
                    .waits = true});
  // Half-way through what it gives: the next donor goes on.
  faults.push_back({.name = "DonorDiesHalfWay",
                    .at = first + "0@serve@*=KILL+300",
                    .hit = {last, 0},
                    .waits = true,
                    .may_miss = true});
  faults.push_back({.name = "DonorAndReplacementDie",
                    .at = first + fmt::format("0@serve@*=KILL {}+@copy@*=KILL+300", last),
                    .hit = {last, 0},
                    .replacements_hit = 1,
                    .waits = true,
                    .may_miss = true});
  faults.push_back(
      {.name = "LeaderDiesAsDonor", .at = first + "0@serve@*=KILL", .hit = {last, 0}, .waits = true, .may_miss = true});
  faults.push_back(
      {.name = "DonorStops", .at = first + "1@serve@*=STOP", .hit = {last, 1}, .waits = true, .may_miss = true});
}

// The scheduler: around each record and each word to the others.
void add_scheduler(int workers, std::vector<Fault>& faults) {
  const auto strike = [&](const std::string& name, const std::string& instant, int time, const std::string& first,
                          std::vector<int> hit) {
    faults.push_back({.name = "Scheduler" + name,
                      .at = first + blow("scheduler", instant, time),
                      .hit = std::move(hit),
                      .scheduler_hit = true});
  };
  for (const char* instant :
       {"sealing", "seal", "answer", "journal", "journaled", "announce", "announcing", "announced"})
    strike(title(instant) + "First", instant, 1, "", {});
  // The epoch without the one that died.
  const int last = workers - 1;
  const std::string dies = blow(last, "reduce", kEarly) + " ";
  for (const char* instant : {"sealing", "seal", "journal", "journaled", "announce", "announcing", "announced"})
    strike(title(instant) + "Next", instant, 2, dies, {last});
  // All have answered to the first round; the first and the last who answer to the next.
  strike("AnswerNext", "answer", workers + 1, dies, {last});
  strike("LastAnswerNext", "answer", workers + last, dies, {last});
  // The epoch that lets the replacement in, if there is one before the run ends.
  for (const char* instant : {"sealing", "seal", "journal", "journaled", "announce", "announcing", "announced"}) {
    strike(title(instant) + "Join", instant, 3, dies, {last});
    faults.back().may_miss = true;
  }
  // The record of a checkpoint, when nobody dies before.
  strike("JournalCheckpoint", "journal", 2, "", {});
  strike("JournaledCheckpoint", "journaled", 2, "", {});
  // The quarantine of one that was stopped, then its order to be killed, then the epoch without it.
  const std::string stopped = blow(last, "reduce", kEarly, "STOP") + " ";
  strike("JournalQuarantine", "journal", 2, stopped, {last});
  strike("JournaledQuarantine", "journaled", 2, stopped, {last});
  strike("JournalAfterQuarantine", "journal", 3, stopped, {last});
  strike("Final", "final", 1, "", {});
  strike("Finaled", "finaled", 1, "", {});
  // With others at the same time.
  strike("AndLeader", "seal", 2, blow(0, "reduce", kEarly) + " " + blow(1, "sealed", kEarly) + " ", {0, 1});
}

// Asked to end, whoever is: all do, in order, and the run is gone on with later.
void add_asked(int workers, std::vector<Fault>& faults) {
  for (const char* signal : {"TERM", "USR1", "USR2"}) {
    for (const int worker : {0, 1}) {
      faults.push_back({.name = fmt::format("{}Asked{}", worker == 0 ? "Leader" : "Worker", signal),
                        .at = blow(worker, "compute", kEarly, signal),
                        .stops = true});
    }
    faults.push_back({.name = fmt::format("SchedulerAsked{}", signal),
                      .at = blow("scheduler", "journaled", 2, signal),  // of the first checkpoint
                      .stops = true});
  }
  for (const char* instant : {"reduce", "update"}) {
    faults.push_back({.name = "WorkerAskedIn" + title(instant), .at = blow(1, instant, kEarly, "TERM"), .stops = true});
  }
  faults.push_back({.name = "WorkerAskedInEvaluate", .at = blow(1, "evaluate", kEvery, "TERM"), .stops = true});
  faults.push_back({.name = "LeaderAskedInCheckpoint", .at = blow(0, "checkpoint", kEvery, "TERM"), .stops = true});
  // In the middle of everything else.
  const int last = workers - 1;
  faults.push_back({.name = "AskedWhenSealed",
                    .at = blow(last, "compute", kEarly) + " " + blow(1, "sealed", kEarly, "TERM"),
                    .hit = {last},
                    .stops = true});
  faults.push_back({.name = "ReplacementAskedInItsCopy",
                    .at = blow(last, "compute", kEarly) + " " + fmt::format("{}+@copy@*=TERM", last),
                    .hit = {last},
                    .waits = true,
                    .stops = true});
  faults.push_back({.name = "AskedAndThenTheLeaderDiesInItsCheckpoint",
                    .at = blow(1, "compute", kEarly, "TERM") + " " + "0@checkpoint@*=KILL+500",
                    .hit = {0},
                    .may_miss = true,
                    .stops = true});
  faults.push_back(
      {.name = "AskedAndThenTheSchedulerDies",
       .at = blow(1, "compute", kEarly, "TERM") + " " + "0@checkpoint@*=WAIT+100000 scheduler@journal@2=KILL",
       .may_miss = true,
       .stops = true});
  faults.push_back({.name = "AskedAndThenOneDies",
                    .at = blow(0, "compute", kEarly, "TERM") + " " + blow(1, "reduce", kEarly),
                    .hit = {1},
                    .stops = true});
}

std::vector<Company> companies() {
  std::vector<Company> all;
  for (const int workers : {3, 4}) {
    for (const char* graph : {"static", "dynamic"}) {
      for (const char* engine : {"local", "gloo"})
        all.push_back({.workers = workers, .graph = graph, .engine = engine});
    }
  }
  return all;
}

}  // namespace

std::string name_of(const Row& row) {
  return fmt::format("{}_{}_{}_{}", row.fault.name, row.company.workers, row.company.graph, row.company.engine);
}

void PrintTo(const Row& row, std::ostream* out) { *out << "CONVOY_AT=\"" << row.fault.at << "\""; }

std::vector<Fault> faults_of(int workers) {
  std::vector<Fault> faults;
  add_killed(workers, faults);
  add_stopped(workers, faults);
  add_paused(workers, faults);
  add_together(workers, faults);
  add_joining(workers, faults);
  add_scheduler(workers, faults);
  add_asked(workers, faults);
  return faults;
}

std::vector<Row> all_rows() {
  std::vector<Row> rows;
  for (const Company& company : companies()) {
    for (const Fault& fault : faults_of(company.workers)) rows.push_back({fault, company});
  }
  return rows;
}

std::vector<Row> chosen_rows() {
  // Neighbours differ in every way, and no fault meets one company only because of how the list is ordered.
  static constexpr std::size_t kOrder[] = {0, 7, 2, 5, 1, 6, 3, 4};
  const std::vector<Company> all = companies();
  std::vector<Row> rows;
  for (std::size_t i = 0; i < faults_of(3).size(); ++i) {
    const Company& company = all[kOrder[i % all.size()]];
    if (faults_of(company.workers)[i].fails_yet) continue;
    rows.push_back({faults_of(company.workers)[i], company});
  }
  return rows;
}

}  // namespace convoy::chaos
