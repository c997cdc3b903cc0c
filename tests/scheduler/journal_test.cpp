#include "scheduler/journal.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <span>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "tests/scheduler/scratch.h"
#include "tests/support/mutations.h"

namespace convoy::scheduler {
namespace {

EpochRecord epoch(std::uint64_t term, std::uint32_t attempt) {
  return {.ballot = {.term = term, .attempt = attempt},
          .epoch = {.members = {{.uuid = Uuid::random(), .rank = 0, .host = "a", .pid = 11, .meeting_place = "s0"},
                                {.uuid = Uuid::random(), .rank = 1, .host = "b", .pid = 12, .meeting_place = "s1"}},
                    .resume_step = 42,
                    .donors = {Uuid::random()},
                    .chain = 0xfedcba9876543210,
                    .previous_chain = 1}};
}

TEST(JournalTest, ReadsBackWhatItWrote) {
  const Scratch scratch;
  const Uuid scheduler = Uuid::random();
  const EpochRecord first = epoch(1, 1);
  const EpochRecord second = epoch(1, 2);
  Journal journal(scratch.path(), scheduler);
  journal.append(first);
  journal.append(second);
  const CheckpointRecord checkpoint{.step = 40};
  const QuarantineRecord quarantine{.worker = Uuid::random(), .reason = "it does not answer"};
  journal.append(checkpoint);
  journal.append(quarantine);
  // Read while the journal is open: everything is on disk already.
  const auto records = read_journal_segment(scratch.file("term-1"));
  EXPECT_EQ(records, (std::vector<JournalRecord>{TermRecord{.term = 1, .scheduler = scheduler}, first, second,
                                                 checkpoint, quarantine}));
}

TEST(JournalTest, EveryStartIsANewTerm) {
  const Scratch scratch;
  const std::string directory = scratch.file("journal");  // does not exist yet
  EXPECT_EQ(Journal(directory, Uuid::random()).term(), 1U);
  EXPECT_EQ(Journal(directory, Uuid::random()).term(), 2U);
  std::filesystem::rename(directory + "/term-2", directory + "/term-10");
  std::ofstream(directory + "/term-99x") << "not a segment";
  std::ofstream(directory + "/notes") << "not a segment";
  EXPECT_EQ(Journal(directory, Uuid::random()).term(), 11U);
}

TEST(JournalTest, IsReadInTheOrderOfItsTerms) {
  const Scratch scratch;
  EXPECT_TRUE(read_journal(scratch.file("absent")).empty());
  std::vector<JournalRecord> written;
  for (std::uint64_t term = 1; term <= 11; ++term) {  // 10 comes behind 9
    const Uuid scheduler = Uuid::random();
    Journal journal(scratch.path(), scheduler);
    written.emplace_back(TermRecord{.term = term, .scheduler = scheduler});
    written.emplace_back(epoch(term, 1));
    journal.append(written.back());
  }
  EXPECT_EQ(read_journal(scratch.path()), written);
}

TEST(JournalTest, ALaterTermEndsAnEarlierOne) {
  const Scratch scratch;
  Journal first(scratch.path(), Uuid::random());
  first.append(epoch(1, 1));
  Journal second(scratch.path(), Uuid::random());
  try {
    first.append(epoch(1, 2));
    ADD_FAILURE() << "written";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInterrupted);
    EXPECT_NE(std::string(error.what()).find("term-2; the one of term 1 ends"), std::string::npos) << error.what();
  }
  second.append(epoch(2, 1));
  EXPECT_EQ(read_journal(scratch.path()).size(), 4U);
}

TEST(JournalTest, ATornTailIsTheEnd) {
  const Scratch scratch;
  const EpochRecord first = epoch(1, 1);
  const std::string path = scratch.file("term-1");
  std::size_t before = 0;
  std::size_t after = 0;
  const auto used = [&] { return contents_of(path).find_last_not_of('\0') + 1; };
  {
    Journal journal(scratch.path(), Uuid::random());
    journal.append(first);
    before = used();
    journal.append(epoch(1, 2));
    after = used();
  }
  const std::string whole = contents_of(path);
  for (std::size_t length = before; length < after; ++length) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << whole.substr(0, length);
    const auto records = read_journal_segment(path);
    ASSERT_EQ(records.size(), 2U) << "cut after " << length << " bytes";
    EXPECT_EQ(records[1], JournalRecord(first));
    // Whether zeros that were preallocated follow makes no difference.
    std::ofstream(path, std::ios::binary | std::ios::app) << std::string(length % 2 == 0 ? 0 : 4096, '\0');
    const JournalPast past = read_journal_since_start(scratch.path(), {});
    ASSERT_EQ(past.records.size(), 2U);
    ASSERT_EQ(past.damage, length == before
                               ? std::vector<std::string>()
                               : std::vector<std::string>{path + " ends at byte " + std::to_string(before) +
                                                          " in the middle of a record: that one is left out"})
        << "cut after " << length << " bytes";
  }
}

std::string damage_of(const std::string& path) {
  try {
    (void)read_journal_segment(path);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kDataLoss);
    return error.what();
  }
  return "none";
}

TEST(JournalTest, AFlippedBitBeforeTheTailIsDamage) {
  const Scratch scratch;
  const std::string path = scratch.file("term-1");
  std::size_t first = 0;
  std::size_t second = 0;
  const auto used = [&] { return contents_of(path).find_last_not_of('\0') + 1; };
  {
    Journal journal(scratch.path(), Uuid::random());
    first = used();
    journal.append(epoch(1, 1));
    second = used();
    journal.append(epoch(1, 2));
  }
  const std::string whole = contents_of(path);
  for (std::size_t position = first; position < second; position += 3) {
    std::string garbled = whole;
    garbled[position] = static_cast<char>(garbled[position] ^ 0x01);
    std::ofstream(path, std::ios::binary | std::ios::trunc) << garbled;
    ASSERT_EQ(damage_of(path), path + " is damaged at byte " + std::to_string(first) +
                                   ": expected a whole record there, as others stand behind it")
        << "byte " << position;
    ASSERT_EQ(read_journal_since_start(scratch.path(), {}).records.size(), 2U) << "the term and the last epoch";
  }
}

TEST(JournalTest, AFlippedBitInTheLastRecordIsDamage) {
  const Scratch scratch;
  const std::string path = scratch.file("term-1");
  std::size_t before = 0;
  const auto used = [&] { return contents_of(path).find_last_not_of('\0') + 1; };
  {
    Journal journal(scratch.path(), Uuid::random());
    before = used();
    journal.append(epoch(1, 1));
  }
  const std::string whole = contents_of(path);
  const std::string at =
      path + " is damaged at byte " + std::to_string(before) + ": expected a whole record there, and ";
  for (std::size_t position = before; position < whole.find_last_not_of('\0') + 1; ++position) {
    std::string garbled = whole;
    garbled[position] = static_cast<char>(garbled[position] ^ 0x40);
    std::ofstream(path, std::ios::binary | std::ios::trunc) << garbled;
    const JournalPast past = read_journal_since_start(scratch.path(), {});
    ASSERT_EQ(past.records.size(), 1U) << "byte " << position << " garbled";
    ASSERT_EQ(past.damage.size(), 1U) << "byte " << position << " garbled";
    // Of a length that became larger nobody can tell.
    const bool longer = position < before + sizeof(std::uint32_t);
    ASSERT_TRUE(longer || past.damage[0] == at + "its checksum is wrong; the rest of it counts") << past.damage[0];
  }
}

TEST(JournalTest, ATornEndIsLeftToWhoeverWritesThere) {
  const Scratch scratch;
  const std::string path = scratch.file("term-1");
  Journal(scratch.path(), Uuid::random()).append(epoch(1, 1));
  const std::size_t used = contents_of(path).find_last_not_of('\0') + 1;
  std::filesystem::resize_file(path, used - 7);
  EXPECT_EQ(read_journal(scratch.path()).size(), 1U);
  const std::string torn = contents_of(path);
  Journal later(scratch.path(), Uuid::random());
  EXPECT_EQ(contents_of(path), torn) << "the term before may belong to a scheduler that begins, too";
  EXPECT_EQ(read_journal(scratch.path()).size(), 2U);
}

TEST(JournalTest, ARestartReadsWhatBelongsToThisStartOfTheRun) {
  const Scratch scratch;
  const auto begin = [&](bool restarted) { return Journal(scratch.path(), Uuid::random(), {}, restarted).term(); };
  Journal(scratch.path(), Uuid::random()).append(epoch(1, 1));
  std::ofstream(scratch.file("term-1"), std::ios::binary | std::ios::trunc) << "damaged";
  begin(false);
  begin(true);
  std::ofstream(scratch.file("term-4")) << "";  // killed before it said a word
  begin(true);
  const JournalPast past = read_journal_since_start(scratch.path(), {});
  EXPECT_EQ(past.damage,
            std::vector<std::string>{scratch.file("term-4") + " holds no record: expected that of its term at byte 0"});
  ASSERT_EQ(past.records.size(), 3U);
  EXPECT_EQ(std::get<TermRecord>(past.records[0]).term, 2U);
  EXPECT_EQ(std::get<TermRecord>(past.records[2]).term, 5U);
  EXPECT_TRUE(read_journal_since_start(scratch.file("absent"), {}).records.empty());
}

TEST(JournalTest, KnowsItsRun) {
  const Scratch scratch;
  const Uuid run = identify_run(scratch.path());
  EXPECT_EQ(identify_run(scratch.path()), run);
  const std::string journal = scratch.file("journal");
  Journal(journal, Uuid::random(), run).append(epoch(1, 1));
  const Uuid other = Uuid::random();
  Journal(journal, Uuid::random(), other).append(epoch(2, 1));
  const JournalPast past = read_journal_since_start(journal, run);
  EXPECT_EQ(past.records.size(), 2U);
  EXPECT_EQ(past.damage,
            std::vector<std::string>{journal + "/term-2 is the journal of another run (" + other.to_string() +
                                     "), expected " + run.to_string() + ": it is left out"});
  std::ofstream(scratch.file("run-id")) << "nonsense";
  EXPECT_NE(identify_run(scratch.path()), run);
  EXPECT_EQ(identify_run(scratch.path()), identify_run(scratch.path()));
}

TEST(JournalTest, NamesWhatItCannotUse) {
  const Scratch scratch;
  std::ofstream(scratch.file("file")) << "in the way";
  try {
    Journal journal(scratch.file("file"), Uuid::random());
    ADD_FAILURE() << "opened";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_NE(std::string(error.what()).find(scratch.file("file")), std::string::npos) << error.what();
  }
  EXPECT_THROW((void)read_journal_segment(scratch.file("absent")), Error);
}

// The records of a segment as bytes: header and payload.
std::string record_of(const std::string& payload) {
  const auto length = static_cast<std::uint32_t>(payload.size());
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, sizeof length);
  std::memcpy(bytes.data() + 4, &kJournalSchemaVersion, sizeof kJournalSchemaVersion);
  const std::string hashed = bytes + payload;
  const std::uint64_t checksum = xxh3_64(std::as_bytes(std::span(hashed)));
  bytes.resize(16);
  std::memcpy(bytes.data() + 8, &checksum, sizeof checksum);
  return bytes + payload;
}

TEST(JournalTest, DamagedSegmentsAreRefusedOrRead) {
  const Scratch scratch;
  const std::string path = scratch.file("term-1");
  {
    Journal journal(scratch.path(), Uuid::random());
    journal.append(epoch(1, 1));
    journal.append(CheckpointRecord{.step = 40});
    journal.append(QuarantineRecord{.worker = Uuid::random(), .reason = "it does not answer"});
  }
  const std::string whole = contents_of(path).substr(0, contents_of(path).find_last_not_of('\0') + 100);
  std::vector<std::string> payloads;
  for (std::size_t at = 0; at + 16 < whole.size() && whole[at] != '\0';) {
    std::uint32_t length = 0;
    std::memcpy(&length, whole.data() + at, sizeof length);
    payloads.push_back(whole.substr(at + 16, length));
    at += 16 + length;
  }
  ASSERT_EQ(payloads.size(), 4U);
  ASSERT_EQ(whole.substr(0, 16 + payloads[0].size()), record_of(payloads[0]));
  testing_support::Mutations segments({whole});
  testing_support::Mutations records(payloads);
  const auto read = [&](const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
    try {
      (void)read_journal_segment(path);
    } catch (const Error& error) {
      ASSERT_EQ(error.code(), ErrorCode::kDataLoss) << error.what();
    }
    try {
      ASSERT_LE(read_journal_since_start(scratch.path(), {}).records.size(), 8U);
    } catch (const Error& error) {
      ASSERT_EQ(error.code(), ErrorCode::kDataLoss) << error.what();
    }
  };
  for (std::int64_t i = 0; i < testing_support::Mutations::rounds(1'000) && !testing::Test::HasFailure(); ++i) {
    read(segments.next());
    read(record_of(payloads[0]) + record_of(records.next()));  // by another hand, which knows the checksum
  }
}

}  // namespace
}  // namespace convoy::scheduler
