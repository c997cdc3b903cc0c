#include "cluster/messages.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "core/base/error.h"
#include "tests/support/mutations.h"

namespace convoy::cluster {
namespace {

Fingerprint fingerprint() {
  Fingerprint out;
  out.add("build", "0.1.0");
  out.add("recipe", std::string("zero \0 and \xff", 12));
  return out;
}

Standing standing() {
  return {.sealed = {.term = 3, .attempt = 2},
          .entered = {.term = 3, .attempt = 1},
          .has_state = true,
          .applied = 17,
          .chain = 0x8000000000000001,
          .previous_chain = 5};
}

// One row a kind of message, every field away from its default.
std::vector<Body> every_body() {
  return {
      Register{.rank = 3,
               .host = "node7",
               .pid = 4242,
               .meeting_place = "convoy-1",
               .donor = {.address = "tcp://node7:1"},
               .fingerprint = fingerprint(),
               .standing = standing()},
      RegisterAgent{.host = "node7", .pid = 99},
      Refuse{.reason = "rank 3 is taken"},
      Epoch{.members =
                {{.uuid = Uuid::random(), .rank = 0, .host = "a", .pid = 1, .meeting_place = "s0"},
                 {.uuid = Uuid::random(), .rank = 1, .host = "b", .pid = 2, .meeting_place = "s1", .donor = {"a"}}},
            .resume_step = 1'000'000'000'000,
            .donors = {Uuid::random(), Uuid::random()},
            .chain = ~0ULL,
            .previous_chain = 7},
      Heartbeat{.step = 17, .phase = Phase::kLeaving, .activity = 3, .applied = 16},
      StepReport{.step = 17,
                 .loss = 2.5000000000000004,
                 .loss_bits = 0x40200000,
                 .lr = 3e-4,
                 .grad_norm = std::numeric_limits<double>::infinity(),
                 .samples = 16,
                 .tokens = -1,
                 .step_ms = 1.5,
                 .compute_ms = 1.25,
                 .comm_ms = 0.25,
                 .world = 301,
                 .ballot = {.term = 2, .attempt = 9},
                 .shard_ranks = {0, 300, 1, 0}},
      EvalReport{.step = 100, .loss = 2.25, .accuracy = 0.0},
      EvalReport{.step = 100, .loss = 2.25, .accuracy = std::nullopt},
      EventReport{.kind = "straggler", .step = 12, .detail = "worker 1 takes twice as long"},
      FinalReport{.steps = 20,
                  .final_loss = 1.5,
                  .parameters_hash = std::string(32, 'a'),
                  .state_hash = std::string(32, 'b'),
                  .eval_loss = 1.75,
                  .eval_accuracy = 0.95,
                  .samples_per_s = 100.5,
                  .tokens_per_s = 6400.25,
                  .wall_s = 12.5,
                  .start_to_first_step_s = 0.125,
                  .world = 4},
      Leave{.exit_code = -1, .reason = "out of memory", .step = 19, .peak_rss_bytes = 1LL << 40, .ends_run = true},
      WorkerEnded{.rank = 2, .pid = 4242, .exit_code = 3, .signal = 9, .replaced = true},
      StopRequest{.reason = "stopped by SIGINT"},
      Stop{.exit_code = 75, .save = true, .reason = "worker 1 (pid 4242) was killed"},
      Progress{.step = 5,
               .steps = 10,
               .loss = 3.5,
               .rate = 1234.5,
               .rate_unit = "tokens/s",
               .workers = 2,
               .seconds_left = 60.5},
      Notice{.text = "step 100: held-out loss 2.1"},
      Recorded{.step = 20, .final = true},
      HistogramReport{.step = 30,
                      .tag = "weights/h.0",
                      .min = -1.5,
                      .max = 2.5,
                      .count = 3.0,
                      .sum = 0.5,
                      .sum_squares = 8.25,
                      .limits = {-1.0, 3.0},
                      .counts = {1.0, 2.0}},
      TextReport{.step = 30, .tag = "samples", .text = "zero \xff"},
      GraphReport{.nodes = {{.name = "forward/split_1",
                             .op = "split",
                             .inputs = {"inputs/x", "inputs/y:1"},
                             .attributes = "axis=1",
                             .outputs = {{.dtype = "f32", .shape = {8, 1}}, {.dtype = "i32", .shape = {}}}}}},
      FinishStep{.reason = "stopped by SIGTERM"},
      Seal{.at_step = -1, .keep = {.term = 2, .attempt = 3}},
      Seal{.at_step = 18, .keep = {}},
      SealAnswer{.standing = standing(), .kept = true, .unreachable = {Uuid::random()}},
      Exclude{.worker = Uuid::random(), .rank = -1, .pid = 4242, .reason = "it does not answer"},
      PeersLost{.peers = {Uuid::random(), Uuid::random()}},
      Ready{.step = 17},
      Copy{.donors = {{.uuid = Uuid::random(), .rank = 2, .host = "c", .pid = 3, .meeting_place = "s2"}}},
  };
}

class BodyTest : public testing::TestWithParam<Body> {};
INSTANTIATE_TEST_SUITE_P(EveryKind, BodyTest, testing::ValuesIn(every_body()));

TEST_P(BodyTest, SurvivesTheTrip) {
  const Message message{.ballot = {.term = 7, .attempt = 3}, .sender = Uuid::random(), .body = GetParam()};
  const std::string bytes = encode(message);
  const Message back = decode(bytes);
  EXPECT_EQ(back.ballot, message.ballot);
  EXPECT_EQ(back.sender, message.sender);
  EXPECT_EQ(back.body, message.body);
}

TEST_P(BodyTest, IsRefusedWhenTornOrGarbled) {
  const std::string bytes = encode({.ballot = {}, .sender = Uuid::random(), .body = GetParam()});
  std::mt19937 random(1);
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    std::string garbled = bytes;
    garbled[length] = static_cast<char>(random());
    for (const std::string& wrong : {bytes.substr(0, length), garbled}) {
      try {
        (void)decode(wrong);  // some happen to be messages; none may do worse than throw
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kDataLoss);
      }
    }
  }
}

TEST(MessagesTest, EveryKindHasARow) {
  std::vector<bool> seen(std::variant_size_v<Body>);
  for (const Body& body : every_body()) seen[body.index()] = true;
  for (std::size_t i = 0; i < seen.size(); ++i) EXPECT_TRUE(seen[i]) << "no row for alternative " << i;
}

void expect_data_loss(const std::string& bytes, const std::string& expected_text) {
  try {
    (void)decode(bytes);
    ADD_FAILURE() << "decoded";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kDataLoss);
    EXPECT_NE(std::string(error.what()).find(expected_text), std::string::npos) << error.what();
  }
}

TEST(MessagesTest, NamesBothSchemaVersions) {
  std::string bytes = encode({.ballot = {}, .sender = Uuid::random(), .body = Recorded{.step = 1}});
  ASSERT_EQ(bytes[0], '\x08');  // field 1, schema
  bytes[1] = 9;
  expect_data_loss(bytes, "schema version 9, expected 3");
}

TEST(MessagesTest, RefusesWhatIsNoMessage) {
  expect_data_loss("hello", "5 bytes that are not a message");
  expect_data_loss("", "schema version 0, expected 3");
  const std::string whole = encode({.ballot = {}, .sender = Uuid::random(), .body = Notice{.text = "x"}});
  expect_data_loss(whole.substr(0, whole.size() - 1), "not a message");
  expect_data_loss(std::string("\x08\x03", 2), "UUID of 0 bytes");
}

TEST(MessagesTest, RefusesAnUnknownPhase) {
  std::string bytes =
      encode({.ballot = {}, .sender = Uuid::random(), .body = Heartbeat{.step = 1, .phase = Phase::kLeaving}});
  ASSERT_EQ(bytes.back(), '\x07');
  bytes.back() = '\x08';
  expect_data_loss(bytes, "unknown phase 8");
}

TEST(MessagesTest, RefusesShardsOfRanksThatThereAreNot) {
  for (const std::int32_t rank : {-1, 2}) {
    const StepReport report{.step = 5, .world = 2, .shard_ranks = {0, rank}};
    expect_data_loss(encode({.ballot = {}, .sender = Uuid::random(), .body = report}),
                     "report of step 5 with a shard of rank " + std::to_string(rank) + " among 2");
  }
}

TEST(MessagesTest, HasASizeLimit) {
  const auto notice = [](std::size_t size) {
    return Message{.ballot = {}, .sender = {}, .body = Notice{.text = std::string(size, 'x')}};
  };
  EXPECT_NO_THROW((void)decode(encode(notice(kMaxMessageBytes - 100))));
  EXPECT_THROW((void)encode(notice(kMaxMessageBytes)), Error);
}

TEST(MessagesTest, PhasesHaveNames) {
  EXPECT_EQ(phase_name(Phase::kStarting), "starting");
  EXPECT_EQ(phase_name(Phase::kForwardBackward), "forward_backward");
  EXPECT_EQ(phase_name(Phase::kLeaving), "leaving");
}

// What is taken is a message: it can be sent on, and is the same at the other end.
TEST(MessagesTest, DamagedOnesAreRefusedOrMessages) {
  std::vector<std::string> valid;
  for (const Body& body : every_body())
    valid.push_back(encode({.ballot = {.term = 3, .attempt = 4}, .sender = Uuid::random(), .body = body}));
  testing_support::Mutations mutations(std::move(valid));
  std::int64_t taken = 0;
  const std::int64_t rounds = testing_support::Mutations::rounds(20'000);
  for (std::int64_t i = 0; i < rounds; ++i) {
    try {
      const std::string again = encode(decode(mutations.next()));
      ASSERT_EQ(encode(decode(again)), again);
      ++taken;
    } catch (const Error& error) {
      ASSERT_EQ(error.code(), ErrorCode::kDataLoss) << error.what();
    }
  }
  EXPECT_GT(taken, rounds / 100);
  EXPECT_LT(taken, rounds);
}

}  // namespace
}  // namespace convoy::cluster
