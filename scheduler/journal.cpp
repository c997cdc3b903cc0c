#include "scheduler/journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "core/base/durable_file.h"
#include "core/base/error.h"
#include "core/base/hash.h"

namespace convoy::scheduler {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kSegmentPrefix = "term-";
// Space is set aside at once, so that an append changes no metadata and one fdatasync is all it costs.
constexpr off_t kPreallocatedBytes = 64 << 10;
constexpr std::uint32_t kLatestConceivableSchema = 1000;

struct Header {
  std::uint32_t length = 0;
  std::uint32_t schema = 0;
  std::uint64_t checksum = 0;
};
static_assert(sizeof(Header) == 16);

std::uint64_t checksum(std::uint32_t length, std::uint32_t schema, std::string_view payload) {
  std::string bytes(sizeof length + sizeof schema, '\0');
  std::memcpy(bytes.data(), &length, sizeof length);
  std::memcpy(bytes.data() + sizeof length, &schema, sizeof schema);
  bytes += payload;
  return xxh3_64(std::as_bytes(std::span(bytes)));
}

Json to_json(const TermRecord& record) {
  return {{"kind", "term"},
          {"term", record.term},
          {"scheduler", record.scheduler.to_string()},
          {"run", record.run.to_string()},
          {"restarted", record.restarted}};
}

Json to_json(const EpochRecord& record) {
  Json members = Json::array();
  for (const cluster::Member& member : record.epoch.members) {
    members.push_back({{"uuid", member.uuid.to_string()},
                       {"rank", member.rank},
                       {"host", member.host},
                       {"pid", member.pid},
                       {"meeting_place", member.meeting_place},
                       {"donor_address", member.donor.address}});
  }
  Json donors = Json::array();
  for (const Uuid& donor : record.epoch.donors) donors.push_back(donor.to_string());
  return {{"kind", "epoch"},
          {"term", record.ballot.term},
          {"attempt", record.ballot.attempt},
          {"resume_step", record.epoch.resume_step},
          {"members", std::move(members)},
          {"donors", std::move(donors)},
          {"chain", record.epoch.chain},
          {"previous_chain", record.epoch.previous_chain}};
}

Json to_json(const CheckpointRecord& record) { return {{"kind", "checkpoint"}, {"step", record.step}}; }

Json to_json(const QuarantineRecord& record) {
  return {{"kind", "quarantine"},
          {"worker", record.worker.to_string()},
          {"reason", record.reason},
          {"host", record.host},
          {"pid", record.pid}};
}

Uuid read_uuid(const Json& json) { return Uuid::parse(json.get<std::string>()); }

JournalRecord from_json(const Json& json) {
  const std::string kind = json.at("kind");
  if (kind == "term") {
    return TermRecord{.term = json.at("term"),
                      .scheduler = read_uuid(json.at("scheduler")),
                      .run = Uuid::parse(json.value("run", Uuid().to_string())),
                      .restarted = json.value("restarted", false)};
  }
  if (kind == "checkpoint") return CheckpointRecord{.step = json.at("step")};
  if (kind == "quarantine")
    return QuarantineRecord{.worker = read_uuid(json.at("worker")),
                            .reason = json.at("reason"),
                            .host = json.value("host", ""),
                            .pid = json.value("pid", 0)};
  if (kind != "epoch") fail(ErrorCode::kDataLoss, "a record of the unknown kind {}", kind);
  EpochRecord record{.ballot = {.term = json.at("term"), .attempt = json.at("attempt")},
                     .epoch = {.members = {},
                               .resume_step = json.at("resume_step"),
                               .donors = {},
                               .chain = json.value("chain", std::uint64_t{0}),
                               .previous_chain = json.value("previous_chain", std::uint64_t{0})}};
  for (const Json& donor : json.value("donors", Json::array())) record.epoch.donors.push_back(read_uuid(donor));
  for (const Json& member : json.at("members")) {
    record.epoch.members.push_back({.uuid = read_uuid(member.at("uuid")),
                                    .rank = member.at("rank"),
                                    .host = member.at("host"),
                                    .pid = member.at("pid"),
                                    .meeting_place = member.value("meeting_place", ""),
                                    .donor = {.address = member.value("donor_address", "")}});
  }
  return record;
}

// Of the segments in `directory`, ascending.
std::vector<std::uint64_t> terms(const std::string& directory) {
  std::vector<std::uint64_t> found;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kSegmentPrefix)) continue;
    std::uint64_t term = 0;
    const auto [end, error] = std::from_chars(name.data() + kSegmentPrefix.size(), name.data() + name.size(), term);
    if (error == std::errc() && end == name.data() + name.size()) found.push_back(term);
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::string segment_path(const std::string& directory, std::uint64_t term) {
  return fmt::format("{}/{}{}", directory, kSegmentPrefix, term);
}

// Makes the names in `directory` durable.
void sync_directory(const std::string& directory) {
  const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = descriptor >= 0 && ::fsync(descriptor) == 0;
  const int error = errno;
  if (descriptor >= 0) ::close(descriptor);
  if (!synced) fail(ErrorCode::kUnavailable, "cannot flush the directory {}: {}", directory, errno_text(error));
}

// One segment as it stands on disk.
struct Segment {
  std::vector<JournalRecord> records;
  // One line each, empty when there is nothing to say.
  std::string damage{};
  std::string torn{};  // its end
};

std::string contents_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file.is_open() || file.bad()) fail(ErrorCode::kUnavailable, "cannot read {}", path);
  return bytes;
}

// The payload of the whole record at the beginning of `bytes`, if there is one.
std::optional<std::string_view> payload_at(std::string_view bytes, std::uint32_t& schema) {
  Header header;
  if (bytes.size() < sizeof header) return std::nullopt;
  std::memcpy(&header, bytes.data(), sizeof header);
  const std::string_view rest = bytes.substr(sizeof header);
  if (header.length == 0 || header.length > rest.size()) return std::nullopt;
  // A look at the schema spares most checksums where every byte may be a beginning.
  if (header.schema == 0 || header.schema > kLatestConceivableSchema) return std::nullopt;
  const std::string_view payload = rest.substr(0, header.length);
  if (header.checksum != checksum(header.length, header.schema, payload)) return std::nullopt;
  schema = header.schema;
  return payload;
}

// Where the next whole record begins; npos: there is none.
std::size_t next_record(std::string_view bytes) {
  std::uint32_t schema = 0;
  for (std::size_t skipped = 1; skipped + sizeof(Header) < bytes.size(); ++skipped) {
    if (payload_at(bytes.substr(skipped), schema)) return skipped;
  }
  return std::string_view::npos;
}

JournalRecord record_of(const std::string& path, std::string_view payload, std::uint32_t schema) {
  if (schema > kJournalSchemaVersion) {
    fail(ErrorCode::kDataLoss, "{} has journal schema version {}, expected at most {}", path, schema,
         kJournalSchemaVersion);
  }
  try {
    return from_json(Json::parse(payload));
  } catch (const std::exception& error) {  // JSON's, or an Error
    fail(ErrorCode::kDataLoss, "{} holds a record that cannot be read: {}", path, error.what());
  }
}

// Whether `left` begins with a record that was not written to its end, behind which there are only the zeros of what
// was preallocated. The last byte of a record is none.
bool is_torn(std::string_view left) {
  const std::size_t used = left.find_last_not_of('\0') + 1;
  Header header;
  if (used < sizeof header) return true;
  std::memcpy(&header, left.data(), sizeof header);
  return header.length > used - sizeof header;
}

Segment read_segment(const std::string& path) {
  const std::string bytes = contents_of(path);
  Segment segment;
  std::string_view left = bytes;
  for (;;) {
    std::uint32_t schema = 0;
    while (const auto payload = payload_at(left, schema)) {
      segment.records.push_back(record_of(path, *payload, schema));
      left.remove_prefix(sizeof(Header) + payload->size());
    }
    const std::size_t at = bytes.size() - left.size();
    if (left.find_first_not_of('\0') == std::string_view::npos) {
      if (at == 0) segment.torn = fmt::format("{} holds no record: expected that of its term at byte 0", path);
      return segment;
    }
    const std::size_t next = next_record(left);
    if (next == std::string_view::npos && is_torn(left)) {
      segment.torn = fmt::format("{} ends at byte {} in the middle of a record: that one is left out", path, at);
      return segment;
    }
    if (segment.damage.empty()) {
      segment.damage =
          fmt::format("{} is damaged at byte {}: expected a whole record there{}", path, at,
                      next != std::string_view::npos ? ", as others stand behind it" : ", and its checksum is wrong");
    }
    if (next == std::string_view::npos) return segment;
    left.remove_prefix(next);
  }
}

}  // namespace

Journal::Journal(const std::string& directory, const Uuid& scheduler, const Uuid& run, bool restarted)
    : directory_(directory) {
  try {
    std::filesystem::create_directories(directory);
    create_segment();
  } catch (const std::filesystem::filesystem_error& error) {
    fail(ErrorCode::kUnavailable, "cannot use the journal directory {}: {}", directory, error.code().message());
  }
  try {
    append(TermRecord{.term = term_, .scheduler = scheduler, .run = run, .restarted = restarted});
    sync_directory(directory);
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

Journal::~Journal() { ::close(descriptor_); }

void Journal::create_segment() {
  do {  // again when another scheduler took the term first
    const std::vector<std::uint64_t> taken = terms(directory_);
    term_ = taken.empty() ? 1 : taken.back() + 1;
    path_ = segment_path(directory_, term_);
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (descriptor_ < 0 && errno == EEXIST);
  if (descriptor_ < 0) fail(ErrorCode::kUnavailable, "cannot create {}: {}", path_, errno_text(errno));
  ::fallocate(descriptor_, 0, 0, kPreallocatedBytes);  // some file systems cannot; they only pay more for an append
}

void Journal::check() const {
  // A later term begins with the number after the largest, so that the next one is the only one to look for.
  if (const std::string later = segment_path(directory_, term_ + 1); ::access(later.c_str(), F_OK) == 0)
    fail(ErrorCode::kInterrupted, "another scheduler of this run has begun {}; the one of term {} ends", later, term_);
}

void Journal::append(const JournalRecord& record) {
  check();
  const std::string payload = std::visit([](const auto& value) { return to_json(value); }, record)
                                  .dump(-1, ' ', false, Json::error_handler_t::replace);
  Header header{.length = static_cast<std::uint32_t>(payload.size()), .schema = kJournalSchemaVersion};
  header.checksum = checksum(header.length, header.schema, payload);
  std::string bytes(sizeof header, '\0');
  std::memcpy(bytes.data(), &header, sizeof header);
  bytes += payload;

  for (std::string_view left = bytes; !left.empty();) {
    const ssize_t written = ::write(descriptor_, left.data(), left.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(ErrorCode::kUnavailable, "cannot write {}: {}", path_, errno_text(errno));
    left.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fdatasync(descriptor_) != 0) fail(ErrorCode::kUnavailable, "cannot flush {}: {}", path_, errno_text(errno));
  check();  // whoever was stopped for long in between may not act upon what it wrote
}

std::vector<JournalRecord> read_journal_segment(const std::string& path) {
  Segment segment = read_segment(path);
  if (!segment.damage.empty()) fail(ErrorCode::kDataLoss, "{}", segment.damage);
  return std::move(segment.records);
}

std::vector<JournalRecord> read_journal(const std::string& directory) {
  std::vector<JournalRecord> records;
  if (!std::filesystem::is_directory(directory)) return records;
  for (const std::uint64_t term : terms(directory)) {
    const std::vector<JournalRecord> segment = read_journal_segment(segment_path(directory, term));
    records.insert(records.end(), segment.begin(), segment.end());
  }
  return records;
}

namespace {

JournalPast read_past(const std::string& directory, const Uuid& run, bool whole) {
  JournalPast past;
  if (!std::filesystem::is_directory(directory)) return past;
  std::vector<std::uint64_t> left = terms(directory);
  for (; !left.empty(); left.pop_back()) {
    const std::string path = segment_path(directory, left.back());
    const Segment segment = read_segment(path);
    // A scheduler that was killed before it recorded its term decided nothing.
    const TermRecord* term = segment.records.empty() ? nullptr : std::get_if<TermRecord>(&segment.records.front());
    if (term != nullptr && !term->run.is_nil() && !run.is_nil() && term->run != run) {
      past.damage.push_back(fmt::format("{} is the journal of another run ({}), expected {}: it is left out", path,
                                        term->run.to_string(), run.to_string()));
      continue;
    }
    if (!segment.damage.empty()) past.damage.push_back(segment.damage + "; the rest of it counts");
    if (!segment.torn.empty()) past.damage.push_back(segment.torn);
    past.records.insert(past.records.begin(), segment.records.begin(), segment.records.end());
    if (!whole && term != nullptr && !term->restarted) break;
  }
  return past;
}

std::string run_id_path(const std::string& run_directory) { return run_directory + "/run-id"; }

}  // namespace

JournalPast read_journal_since_start(const std::string& directory, const Uuid& run) {
  return read_past(directory, run, false);
}

JournalPast read_whole_journal(const std::string& directory, const Uuid& run) {
  return read_past(directory, run, true);
}

Uuid run_in(const std::string& run_directory) {
  const std::string path = run_id_path(run_directory);
  if (!std::filesystem::exists(path)) return {};
  std::string text = contents_of(path);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  try {
    return Uuid::parse(text);
  } catch (const Error&) {  // then it is as good as lost
    return {};
  }
}

Uuid identify_run(const std::string& run_directory) {
  Uuid run = run_in(run_directory);
  if (!run.is_nil()) return run;
  run = Uuid::random();  // no journal of before is this one's
  write_durably(run_id_path(run_directory), run.to_string() + "\n");
  return run;
}

}  // namespace convoy::scheduler
