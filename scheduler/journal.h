// The scheduler's memory: what it decided, on disk before anybody is told. One segment (journal/term-N) a term, that is
// a start of a scheduler; a segment is never written by two.
//
// A record is a header (length of the payload, schema version, XXH3 of both and the payload) and a payload of JSON.
// A kill or power cut tears at most the last record of a segment, and that one was never announced. Anything else that
// is not whole was damaged. A restart says either and goes on with the rest, which the workers make good: none of them
// hears an older ballot than it has entered or sealed. Segments are never mended: another scheduler may be writing
// there.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "cluster/messages.h"
#include "core/base/ballot.h"
#include "core/base/uuid.h"

namespace convoy::scheduler {

inline constexpr std::uint32_t kJournalSchemaVersion = 2;  // 1: without donors, checkpoints and quarantine

struct TermRecord {
  std::uint64_t term = 0;
  Uuid scheduler;
  Uuid run{};              // whose journal this is; nil: not said
  bool restarted = false;  // goes on with the term before: the workers lived on
  bool operator==(const TermRecord&) const = default;
};
struct EpochRecord {
  Ballot ballot;
  cluster::Epoch epoch;
  bool operator==(const EpochRecord&) const = default;
};
// A checkpoint is complete: from here the run can go on when nobody is left who has the state.
struct CheckpointRecord {
  std::int64_t step = 0;
  bool operator==(const CheckpointRecord&) const = default;
};
// This process takes part no more, whatever becomes of it. On record before anybody is told to kill it.
struct QuarantineRecord {
  Uuid worker;
  std::string reason;  // one line
  std::string host{};  // where it is to be killed
  std::int32_t pid = 0;
  bool operator==(const QuarantineRecord&) const = default;
};
using JournalRecord = std::variant<TermRecord, EpochRecord, CheckpointRecord, QuarantineRecord>;

class Journal {
 public:
  // Starts the term after the largest one in `directory` (created if need be) and records it.
  // Throws Error(kUnavailable), as append() does.
  Journal(const std::string& directory, const Uuid& scheduler, const Uuid& run = {}, bool restarted = false);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  std::uint64_t term() const { return term_; }
  // Returns once the record is on disk, before any other scheduler could begin. Throws as check() does.
  void append(const JournalRecord& record);
  // Throws Error(kInterrupted) once another scheduler has begun a later term: what this one decides counts no more.
  void check() const;

 private:
  void create_segment();

  std::uint64_t term_ = 0;
  std::string directory_;
  std::string path_;
  int descriptor_ = -1;
};

// The whole records of a segment, in order; its end may be torn. Throws Error(kUnavailable) when it cannot be read,
// Error(kDataLoss) for one of a later schema version, and where it is damaged, naming the byte.
std::vector<JournalRecord> read_journal_segment(const std::string& path);
// The same of all segments in `directory`, in the order of their terms; none where there is no directory.
std::vector<JournalRecord> read_journal(const std::string& directory);
// What a scheduler of `run` that was started anew goes on with: the segments since it was last begun or resumed.
struct JournalPast {
  std::vector<JournalRecord> records;
  std::vector<std::string> damage;  // torn ends and segments of other runs too, a line each
};
JournalPast read_journal_since_start(const std::string& directory, const Uuid& run);
// The same of all segments. A nil `run`: any.
JournalPast read_whole_journal(const std::string& directory, const Uuid& run);

// The run in `run_directory`, from its file run-id, which is made where there is none. Throws Error(kUnavailable).
Uuid identify_run(const std::string& run_directory);
// The same; nil where the file says none.
Uuid run_in(const std::string& run_directory);

}  // namespace convoy::scheduler
