// What a run leaves in its directory about itself: metrics.jsonl, events.jsonl, final.json. Only the scheduler writes
// them. The fields and their order are fixed; users' tools count on them.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "cluster/messages.h"
#include "core/base/ballot.h"
#include "core/base/uuid.h"

namespace convoy::scheduler {

// A line of events.jsonl.
struct Event {
  std::string kind;            // "worker_joined", "worker_lost", "epoch", …
  std::optional<Uuid> worker;  // whom it is about, if it is about one
  std::int32_t rank = -1;      // -1: none
  Ballot ballot;
  std::int64_t step = 0;
  std::string detail;
  bool operator==(const Event&) const = default;
};

// Of an evaluation.
std::string evaluation_detail(const cluster::EvalReport& report);
Event evaluation_event(const cluster::EvalReport& report, const Ballot& ballot);

// A file to which whole lines are appended, each by one write(2), so that being killed tears none; of a line that does
// not fit on the disk nothing stays.
class LineFile {
 public:
  explicit LineFile(std::string path);  // throws Error(kUnavailable), as the others do
  ~LineFile();
  LineFile(const LineFile&) = delete;
  LineFile& operator=(const LineFile&) = delete;

  void append(std::string_view line);  // without its newline
  void sync();                         // returns once everything is on disk

 private:
  std::string path_;
  int descriptor_;
};

// Every function throws Error(kUnavailable) that names the file it cannot write. The line is kept, and those after it,
// until retry() or the next of its kind succeeds.
class Records {
 public:
  // Goes on with what stands in `run_directory`, which exists, after step `resume_step`: later lines of metrics.jsonl,
  // torn last lines and a final.json of an earlier end are removed. Where only the scheduler was started anew
  // (`restarted`) nothing but torn lines is: the workers' steps count.
  Records(const std::string& run_directory, std::int64_t resume_step, bool restarted = false);

  // `time`: seconds since the epoch.
  void event(const Event& event, double time);
  // A step is recorded once, in the order of the steps (one that is ahead of others waits for them): false for one that
  // was there before. `ballot`: under which it was committed, where the
  // report does not say.
  bool step(const cluster::StepReport& report, const Ballot& ballot);
  // Writes what could not be written.
  void retry();
  // Whether the evaluation after `step` is the first one that is reported.
  bool evaluation(std::int64_t step) { return evaluated_.insert(step).second; }
  // Every step up to this one is recorded.
  std::int64_t recorded_step() const { return recorded_step_; }
  bool has_final() const { return has_final_; }  // final.json stands
  // Replaces final.json, after everything before it is on disk. `peak_rss_bytes`: the largest worker's, once known.
  void final(const cluster::FinalReport& report, std::optional<std::int64_t> peak_rss_bytes);

 private:
  void write_in_order();
  void write_events();

  std::string run_directory_;
  LineFile metrics_;
  LineFile events_;
  std::int64_t recorded_step_;
  // Beyond a gap after recorded_step_: lines that wait, empty ones for those that stand already.
  std::map<std::int64_t, std::string> ahead_;
  std::deque<std::string> events_to_write_;
  std::set<std::int64_t> evaluated_;
  bool has_final_ = false;
};

}  // namespace convoy::scheduler
