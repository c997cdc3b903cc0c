#include "scheduler/journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "core/base/error.h"
#include "core/base/hash.h"

namespace convoy::scheduler {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kSegmentPrefix = "term-";
// Space is set aside at once, so that an append changes no metadata and one fdatasync is all it costs.
constexpr off_t kPreallocatedBytes = 64 << 10;

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
  return {{"kind", "term"}, {"term", record.term}, {"scheduler", record.scheduler.to_string()}};
}

Json to_json(const EpochRecord& record) {
  Json members = Json::array();
  for (const cluster::Member& member : record.epoch.members) {
    members.push_back({{"uuid", member.uuid.to_string()},
                       {"rank", member.rank},
                       {"host", member.host},
                       {"pid", member.pid},
                       {"local_socket", member.local_socket}});
  }
  return {{"kind", "epoch"},
          {"term", record.ballot.term},
          {"attempt", record.ballot.attempt},
          {"resume_step", record.epoch.resume_step},
          {"members", std::move(members)}};
}

JournalRecord from_json(const Json& json) {
  if (json.at("kind") == "term") {
    return TermRecord{.term = json.at("term"), .scheduler = Uuid::parse(json.at("scheduler").get<std::string>())};
  }
  EpochRecord record{.ballot = {.term = json.at("term"), .attempt = json.at("attempt")},
                     .epoch = {.members = {}, .resume_step = json.at("resume_step")}};
  for (const Json& member : json.at("members")) {
    record.epoch.members.push_back({.uuid = Uuid::parse(member.at("uuid").get<std::string>()),
                                    .rank = member.at("rank"),
                                    .host = member.at("host"),
                                    .pid = member.at("pid"),
                                    .local_socket = member.at("local_socket")});
  }
  return record;
}

std::uint64_t largest_term(const std::string& directory) {
  std::uint64_t largest = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kSegmentPrefix)) continue;
    std::uint64_t term = 0;
    const auto [end, error] = std::from_chars(name.data() + kSegmentPrefix.size(), name.data() + name.size(), term);
    if (error == std::errc() && end == name.data() + name.size()) largest = std::max(largest, term);
  }
  return largest;
}

// Makes the names in `directory` durable.
void sync_directory(const std::string& directory) {
  const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = descriptor >= 0 && ::fsync(descriptor) == 0;
  const int error = errno;
  if (descriptor >= 0) ::close(descriptor);
  if (!synced) fail(ErrorCode::kUnavailable, "cannot flush the directory {}: {}", directory, errno_text(error));
}

}  // namespace

Journal::Journal(const std::string& directory, const Uuid& scheduler) {
  try {
    std::filesystem::create_directories(directory);
    create_segment(directory);
  } catch (const std::filesystem::filesystem_error& error) {
    fail(ErrorCode::kUnavailable, "cannot use the journal directory {}: {}", directory, error.code().message());
  }
  try {
    append(TermRecord{.term = term_, .scheduler = scheduler});
    sync_directory(directory);
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

Journal::~Journal() { ::close(descriptor_); }

void Journal::create_segment(const std::string& directory) {
  do {  // again when another scheduler took the term first
    term_ = largest_term(directory) + 1;
    path_ = fmt::format("{}/{}{}", directory, kSegmentPrefix, term_);
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (descriptor_ < 0 && errno == EEXIST);
  if (descriptor_ < 0) fail(ErrorCode::kUnavailable, "cannot create {}: {}", path_, errno_text(errno));
  ::fallocate(descriptor_, 0, 0, kPreallocatedBytes);  // some file systems cannot; they only pay more for an append
}

void Journal::append(const JournalRecord& record) {
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
}

std::vector<JournalRecord> read_journal_segment(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file.is_open() || file.bad()) fail(ErrorCode::kUnavailable, "cannot read {}", path);

  std::vector<JournalRecord> records;
  std::string_view left = bytes;
  while (left.size() >= sizeof(Header)) {
    Header header;
    std::memcpy(&header, left.data(), sizeof header);
    left.remove_prefix(sizeof header);
    if (header.length == 0 || header.length > left.size()) break;  // the preallocated rest, or a torn tail
    const std::string_view payload = left.substr(0, header.length);
    left.remove_prefix(header.length);
    if (header.checksum != checksum(header.length, header.schema, payload)) break;
    if (header.schema != kJournalSchemaVersion) {
      fail(ErrorCode::kDataLoss, "{} has journal schema version {}, expected {}", path, header.schema,
           kJournalSchemaVersion);
    }
    try {
      records.push_back(from_json(Json::parse(payload)));
    } catch (const Json::exception& error) {
      fail(ErrorCode::kDataLoss, "{} holds a record that cannot be read: {}", path, error.what());
    }
  }
  return records;
}

}  // namespace convoy::scheduler
