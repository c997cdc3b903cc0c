#include "worker/transfer.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <span>
#include <thread>

#include "cluster/address.h"
#include "cluster/link.h"
#include "core/base/error.h"
#include "core/base/hash.h"
#include "tests/support/mutations.h"
#include "tests/worker/serving.h"
#include "worker/donor_wire.h"

namespace convoy::worker {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

const Memory& served() {
  static const Memory memory = Memory::filled();
  return memory;
}

// A donor of this process. It goes before what it serves if that was made first.
struct Serving {
  Serving(const std::string& token, Find find) : source{.uuid = Uuid::random(), .service = {}} {
    donor = make_donor(source.uuid, token, std::move(find));
    source.service = donor->service();
  }
  operator Source() const { return source; }

  Source source;
  std::unique_ptr<Donor> donor;
};

// In a child.
void hang() {
  kill(getpid(), SIGSTOP);
  for (;;) pause();  // other threads may stop a moment earlier
}

class TransferTest : public testing::TestWithParam<Way> {
 protected:
  Serving serve(Find find) const { return {token_, std::move(find)}; }

  TransferOptions from(std::vector<Source> donors) const {
    return {.donors = std::move(donors),
            .asker = {.self = Uuid::random(), .token = token_, .ballot = kServedBallot},
            .what = Pull::What::kState,
            .step = kServedStep,
            .stall = 60s,
            .way = GetParam(),
            .most_bytes = 1 << 20};
  }

  // What a fetch throws.
  std::string failure(ErrorCode code, const TransferOptions& options, std::stop_token stop = {}) {
    Memory copy = served().elsewhere();
    try {
      fetch(options, copy.destination(), stop);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      return error.what();
    }
    return "nothing was thrown";
  }

  const std::string token_ = cluster::make_token();
};

INSTANTIATE_TEST_SUITE_P(Ways, TransferTest, testing::Values(Way::kMemory, Way::kSocket, Way::kNetwork),
                         [](const auto& way) {
                           return way.param == Way::kMemory   ? "Memory"
                                  : way.param == Way::kSocket ? "Socket"
                                                              : "Network";
                         });

TEST_P(TransferTest, BringsEverything) {
  Memory copy = served().elsewhere();
  const Transferred result = fetch(from({serve(find_in(served()))}), copy.destination(), {});
  EXPECT_TRUE(result.done);
  EXPECT_TRUE(result.lost.empty());
  EXPECT_EQ(copy.joined(), served().joined());
}

TEST_P(TransferTest, BringsNothingWhereThereIsNothingToBring) {
  const Memory none({0, 0});
  EXPECT_TRUE(fetch(from({serve(find_in(none))}), {}, {}).done);
}

TEST_P(TransferTest, AsksForWhatIsWanted) {
  Memory copy = served().elsewhere();
  const Serving donor = serve([](const Ballot& ballot, const Pull& pull) {
    const bool asked =
        ballot == Ballot{.term = 8, .attempt = 9} && pull.what == Pull::What::kGradient && pull.step == 1'000'000'007;
    return asked ? Offer{.kind = Offer::Kind::kHere, .parts = served().parts()} : Offer{};
  });
  TransferOptions options = from({donor});
  EXPECT_FALSE(fetch(options, copy.destination(), {}).done);
  options.asker.ballot = {.term = 8, .attempt = 9};
  options.what = Pull::What::kGradient;
  options.step = 1'000'000'007;
  EXPECT_TRUE(fetch(options, copy.destination(), {}).done);
}

TEST_P(TransferTest, IsNotServedWhereNobodyHasIt) {
  Memory copy = served().elsewhere();
  const Transferred result = fetch(from({serve(nothing), serve(nothing)}), copy.destination(), {});
  EXPECT_FALSE(result.done);
  EXPECT_TRUE(result.lost.empty());
}

TEST_P(TransferTest, WaitsForADonorThatHasNotEnteredTheEpochYet) {
  std::atomic<int> questions = 0;
  Memory copy = served().elsewhere();
  const Find late = [&](const Ballot& ballot, const Pull& pull) {
    if (++questions < 10) return Offer{.kind = Offer::Kind::kNotYet};
    return find_in(served())(ballot, pull);
  };
  EXPECT_TRUE(fetch(from({serve(late)}), copy.destination(), {}).done);
  EXPECT_EQ(copy.joined(), served().joined());

  const Serving waiting = serve([](const auto&, const auto&) { return Offer{.kind = Offer::Kind::kNotYet}; });
  TransferOptions never = from({waiting});
  never.stall = 50ms;
  EXPECT_NE(failure(ErrorCode::kPeerLost, never).find("gave nothing for 50 ms"), std::string::npos);
}

TEST_P(TransferTest, GoesOnFromWhereADonorWasKilled) {
  std::atomic<int> questions = 0;
  const ChildDonor first(token_, [&questions](const Ballot& ballot, const Pull& pull) {
    if (++questions == 30) kill(getpid(), SIGKILL);
    return find_in(served())(ballot, pull);
  });
  std::atomic<std::int64_t> begin = -1;
  const Serving second = serve([&begin](const Ballot& ballot, const Pull& pull) {
    if (begin < 0) begin = pull.offset;
    return find_in(served())(ballot, pull);
  });
  Memory copy = served().elsewhere();
  const Transferred result = fetch(from({first.source, second}), copy.destination(), {});
  EXPECT_TRUE(result.done);
  EXPECT_EQ(result.lost, std::vector{first.source.uuid});
  EXPECT_GT(begin, 0) << "it began from the start";
  EXPECT_EQ(copy.joined(), served().joined());
}

TEST_P(TransferTest, GoesOnFromWhereADonorWithdrew) {
  std::atomic<int> left = 30;
  const Serving first = serve([&left](const Ballot& ballot, const Pull& pull) {
    return --left < 0 ? Offer{} : find_in(served())(ballot, pull);
  });
  Memory copy = served().elsewhere();
  const Transferred result = fetch(from({first, serve(find_in(served()))}), copy.destination(), {});
  EXPECT_TRUE(result.done);
  EXPECT_TRUE(result.lost.empty());
  EXPECT_EQ(copy.joined(), served().joined());
}

// The offer ends, and the bytes change, when the donor has just told that they are there.
TEST_P(TransferTest, KeepsNothingThatChangedWhileItWasRead) {
  for (const int last : {1, 2, 3, 30, 31, 32, 33, 34}) {
    std::atomic<int> questions = 0;
    Memory changing = served();
    const Serving first = serve([&questions, &changing, last](const Ballot& ballot, const Pull& pull) {
      const int question = ++questions;
      if (question == last) {
        for (auto& block : changing.blocks) std::ranges::fill(block, std::byte{0x55});
      }
      return question > last ? Offer{} : find_in(changing)(ballot, pull);
    });
    const Serving second = serve(find_in(served()));
    Memory copy = served().elsewhere();
    EXPECT_TRUE(fetch(from({first, second}), copy.destination(), {}).done);
    EXPECT_TRUE(copy.joined() == served().joined()) << last;
  }
}

TEST_P(TransferTest, NamesTheDonorsThatAreGone) {
  const Source gone = serve(find_in(served())).source;
  const Source silent = ChildDonor(token_, nothing).source;
  const std::string text = failure(ErrorCode::kPeerLost, from({gone, silent}));
  EXPECT_TRUE(text.starts_with("no donor of the state after step 17 is left: worker " + gone.uuid.to_string() +
                               ": nobody answers at " + gone.service.address + "; worker " + silent.uuid.to_string()))
      << text;

  Memory copy = served().elsewhere();
  const Transferred result = fetch(from({gone, serve(nothing)}), copy.destination(), {});
  EXPECT_FALSE(result.done) << "one that is there says that it has nothing";
  EXPECT_EQ(result.lost, std::vector{gone.uuid});
}

TEST_P(TransferTest, TriesAllAddressesOfADonor) {
  const Serving donor = serve(find_in(served()));
  Source source = donor;
  source.service.address = "tcp://127.0.0.1:1," + source.service.address;
  Memory copy = served().elsewhere();
  EXPECT_TRUE(fetch(from({source}), copy.destination(), {}).done);
}

TEST_P(TransferTest, GivesUpADonorThatStalls) {
  std::atomic<int> questions = 0;
  const ChildDonor stopped(token_, [&questions](const Ballot& ballot, const Pull& pull) {
    if (++questions == 30) hang();
    return find_in(served())(ballot, pull);
  });
  const Serving second = serve(find_in(served()));
  TransferOptions options = from({stopped.source, second});
  options.stall = 1s;
  Memory copy = served().elsewhere();
  const Transferred result = fetch(options, copy.destination(), {});
  EXPECT_TRUE(result.done);
  EXPECT_EQ(result.lost, std::vector{stopped.source.uuid});
  EXPECT_EQ(copy.joined(), served().joined());
}

TEST_P(TransferTest, EndsSoonWhenAskedToStop) {
  const ChildDonor stopped(token_, [](const Ballot&, const Pull&) {
    hang();
    return Offer{};
  });
  std::stop_source stop;
  std::thread stopper([&stop] {
    std::this_thread::sleep_for(50ms);
    stop.request_stop();
  });
  TransferOptions options = from({stopped.source});
  options.stall = 60s;
  const auto begin = Clock::now();
  EXPECT_EQ(failure(ErrorCode::kInterrupted, options, stop.get_token()),
            "asked to stop while fetching the state after step 17");
  EXPECT_LT(Clock::now() - begin, 10s);
  stopper.join();
}

TEST_P(TransferTest, GetsNothingWithAWrongToken) {
  const Serving donor = serve(find_in(served()));
  TransferOptions options = from({donor});
  options.asker.token = cluster::make_token();
  EXPECT_NE(failure(ErrorCode::kPeerLost, options).find("does not know this run's token"), std::string::npos);
}

TEST_P(TransferTest, RefusesAStateOfAnotherSize) {
  Memory other({1000});
  EXPECT_NE(failure(ErrorCode::kPeerLost, from({serve(find_in(other))})).find("of 1000 bytes, where"),
            std::string::npos);
}

TEST_P(TransferTest, ServesSeveralAtOnce) {
  const Serving source = serve(find_in(served()));
  std::vector<Memory> copies(3, served().elsewhere());
  std::vector<std::future<Transferred>> fetches;
  for (Memory& copy : copies)
    fetches.push_back(std::async(std::launch::async,
                                 [&, options = from({source})] { return fetch(options, copy.destination(), {}); }));
  for (auto& one : fetches) EXPECT_TRUE(one.get().done);
  for (const Memory& copy : copies) EXPECT_EQ(copy.joined(), served().joined());
}

// A donor whose bytes change between their hash and their way out.
TEST_P(TransferTest, PullsADamagedPieceAgainOnce) {
  if (GetParam() == Way::kMemory) GTEST_SKIP() << "nothing is on its way";
  std::atomic<int> questions = 0;
  Memory damaged = served();
  damaged.blocks.back().back() ^= std::byte{1};
  const Serving donor = serve([&](const Ballot& ballot, const Pull& pull) {
    const bool last = pull.offset + pull.bytes == total_bytes(served().parts());
    return find_in(last && ++questions <= 1 ? damaged : served())(ballot, pull);
  });
  Memory copy = served().elsewhere();
  EXPECT_TRUE(fetch(from({donor}), copy.destination(), {}).done);
  EXPECT_GE(questions, 6) << "it was not pulled again";
  EXPECT_EQ(copy.joined(), served().joined());
}

TEST_P(TransferTest, GivesUpADonorWhoseBytesArriveDamagedTwice) {
  if (GetParam() == Way::kMemory) GTEST_SKIP() << "nothing is on its way";
  std::atomic<int> odd = 0;
  Memory damaged = served();
  for (auto& block : damaged.blocks)
    if (!block.empty()) block.front() ^= std::byte{1};
  const Serving donor = serve([&](const Ballot& ballot, const Pull& pull) {
    return find_in(++odd % 2 == 1 ? damaged : served())(ballot, pull);
  });
  const Serving sound = serve(find_in(served()));
  Memory copy = served().elsewhere();
  const Transferred result = fetch(from({donor, sound}), copy.destination(), {});
  EXPECT_TRUE(result.done);
  EXPECT_EQ(result.lost, std::vector{donor.source.uuid});
  EXPECT_EQ(copy.joined(), served().joined());
}

// A donor that says damaged words, once it has proved to be one.
TEST(TransferWireTest, DamagedAnswersAreNeverTakenForTheState) {
  const std::string token = cluster::make_token();
  const Uuid donor = Uuid::random();
  const UniqueFd listener = cluster::listen_at("tcp://127.0.0.1:0");
  const std::string served(3000, 'x');
  const auto bytes = [](const auto& value) { return std::string(reinterpret_cast<const char*>(&value), sizeof value); };
  const DonorHeader header{
      .offset = 0, .total = 3000, .bytes = 3000, .checksum = xxh3_64(std::as_bytes(std::span(served)))};
  testing_support::Mutations answers({bytes(header) + served + bytes(DonorVerdict{.total = 3000})});
  const std::int64_t rounds = testing_support::Mutations::rounds(500);
  std::thread serves([&] {
    for (std::int64_t i = 0; i < rounds; ++i) {
      pollfd item{listener.get(), POLLIN, 0};
      poll(&item, 1, -1);
      const UniqueFd peer(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
      const auto say = [&](const std::string& text) {
        (void)!send(peer.get(), text.data(), text.size(), MSG_NOSIGNAL);
      };
      const auto hear = [&](auto& value) { (void)!recv(peer.get(), &value, sizeof value, MSG_WAITALL); };
      DonorHello hello;
      hear(hello);
      DonorChallenge challenge;
      challenge.nonce = cluster::make_nonce();
      challenge.signature = sign_challenge(token, hello, challenge);
      say(bytes(challenge));
      DonorProof proof;
      hear(proof);
      DonorQuestion question;
      hear(question);
      say(answers.next());
    }
  });
  const Source source{.uuid = donor, .service = {.address = cluster::bound_address(listener.get())}};
  for (std::int64_t i = 0; i < rounds; ++i) {
    std::string copy(3000, '-');
    const auto at = [&](std::size_t begin, std::size_t end) {
      return std::as_writable_bytes(std::span(copy).subspan(begin, end - begin));
    };
    const Destination destination{at(0, 1), at(1, 2000), at(2000, 3000)};
    try {
      const TransferOptions options{.donors = {source},
                                    .asker = {.self = Uuid::random(), .token = token, .ballot = kServedBallot},
                                    .step = kServedStep,
                                    .stall = 10s,
                                    .way = Way::kNetwork};
      const bool done = fetch(options, destination, {}).done;
      EXPECT_EQ(copy == served, done);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kPeerLost) << error.what();
    }
  }
  serves.join();
}

}  // namespace
}  // namespace convoy::worker
