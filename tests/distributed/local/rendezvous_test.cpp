#include "distributed/local/rendezvous.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "core/base/error.h"
#include "distributed/local/hello.h"
#include "distributed/local/local_communicator.h"
#include "tests/distributed/expected_errors.h"
#include "tests/distributed/process_ranks.h"
#include "tests/support/mutations.h"

namespace convoy::distributed {
namespace {

using testing::message_of;

// What a communicator that cannot be made says.
std::string refused(ErrorCode code, const LocalOptions& options) {
  return message_of(code, [&options] { make_local_communicator(options); });
}

// Connects to a rendezvous and says nothing yet.
UniqueFd connected_to(const std::string& name) {
  UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  EXPECT_EQ(connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), length), 0);
  return socket;
}

TEST(RendezvousTest, WhoConnectsAsAMeetingEndsIsHeardInTheNext) {
  const Uuid own = Uuid::random();
  const Uuid other = Uuid::random();
  Rendezvous rendezvous(own);
  Segment segment({});
  Meeting meeting{.ballot = {1, 1},
                  .token = "t",
                  .rank = 0,
                  .members = {{rendezvous.name(), own}, {"nobody listens", other}},
                  .greetings = std::vector<Greeting>(2),
                  .segment = segment.fd(),
                  .timeout = std::chrono::milliseconds(30),
                  .stop = {}};
  const UniqueFd guest = connected_to(rendezvous.name());
  EXPECT_THROW(rendezvous.meet(meeting), Error);  // it was accepted, and had said nothing

  meeting.ballot = {1, 2};
  meeting.timeout = std::chrono::seconds(20);
  Meeting of_guest = meeting;
  of_guest.rank = 1;
  ASSERT_TRUE(send_hello(guest.get(), make_hello(of_guest, 0), segment.fd()));
  const std::vector<LocalPeer> met = rendezvous.meet(meeting);
  ASSERT_EQ(met.size(), 1U);
  EXPECT_EQ(met[0].rank, 1);
  EXPECT_TRUE(receive_hello(guest.get()));
}

TEST(RendezvousTest, ConnectionsOfOtherUsersAreNotKept) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can be another user";
  const Uuid own = Uuid::random();
  Rendezvous rendezvous(own);
  Segment segment({});
  UniqueFd guest;
  std::thread([&] {
    constexpr long kNobody = 65534;
    if (syscall(SYS_setresuid, -1L, kNobody, -1L) == 0) guest = connected_to(rendezvous.name());  // this thread alone
  }).join();
  ASSERT_TRUE(guest);
  EXPECT_THROW(rendezvous.meet({.ballot = {1, 1},
                                .token = "t",
                                .rank = 0,
                                .members = {{rendezvous.name(), own}, {"nobody listens", Uuid::random()}},
                                .greetings = std::vector<Greeting>(2),
                                .segment = segment.fd(),
                                .timeout = std::chrono::milliseconds(100),
                                .stop = {}}),
               Error);
  char nothing = 0;
  EXPECT_EQ(recv(guest.get(), &nothing, 1, MSG_DONTWAIT), 0) << "it is still there";
}

TEST(RendezvousTest, DescriptorsThatDoNotBelongToAHelloAreClosed) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
  const UniqueFd ours(ends[0]);
  const UniqueFd theirs(ends[1]);
  Hello hello;
  iovec data{&hello, sizeof hello};
  const int descriptors[] = {theirs.get(), theirs.get()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof descriptors)] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof descriptors);
  std::memcpy(CMSG_DATA(header), descriptors, sizeof descriptors);

  const int before = testing::open_descriptors();
  ASSERT_EQ(sendmsg(theirs.get(), &message, 0), static_cast<ssize_t>(sizeof hello));
  {
    const auto received = receive_hello(ours.get());
    ASSERT_TRUE(received);
    EXPECT_TRUE(received->segment);
  }
  EXPECT_EQ(testing::open_descriptors(), before);
}

TEST(RendezvousTest, WaitingStopsOnRequest) {
  const Uuid own = Uuid::random();
  const Uuid other = Uuid::random();
  Rendezvous rendezvous(own);
  Rendezvous silent(other);
  Segment segment({});
  std::stop_source stop;
  std::thread stopper([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    stop.request_stop();
  });
  const LocalOptions options{.rank = 1,
                             .members = {{silent.name(), other}, {rendezvous.name(), own}},
                             .ballot = {3, 1},
                             .token = "t",
                             .segment = segment,
                             .rendezvous = rendezvous,
                             .stop = stop.get_token()};
  EXPECT_NAMES(refused(ErrorCode::kInterrupted, options), "3.1");
  stopper.join();
}

TEST(RendezvousTest, APeerThatIsGoneIsNamedAtOnce) {
  const Uuid own = Uuid::random();
  const Uuid gone = Uuid::random();
  const std::string socket = Rendezvous(gone).name();
  Rendezvous rendezvous(own);
  Segment segment({});
  const LocalOptions options{.rank = 1,
                             .members = {{socket, gone}, {rendezvous.name(), own}},
                             .ballot = {1, 1},
                             .token = "t",
                             .segment = segment,
                             .rendezvous = rendezvous,
                             .timeout = std::chrono::minutes(5)};
  const std::string message = refused(ErrorCode::kPeerLost, options);
  EXPECT_NAMES(message, "rank 0");
  EXPECT_NAMES(message, socket);
}

TEST(RendezvousTest, TwoListenersCannotShareAName) {
  const Uuid uuid = Uuid::random();
  Rendezvous first(uuid);
  EXPECT_THROW(Rendezvous second(uuid), Error);
}

TEST(RendezvousTest, DamagedHellosAreRefused) {
  const Uuid uuids[] = {Uuid::random(), Uuid::random()};
  Meeting meeting{.ballot = {1, 1},
                  .token = "t",
                  .rank = 1,
                  .members = {{"a", uuids[0]}, {"b", uuids[1]}},
                  .greetings = std::vector<Greeting>(2),
                  .timeout = {},
                  .stop = {}};
  const Hello hello = make_hello(meeting, 0);
  meeting.rank = 0;
  const std::string whole(reinterpret_cast<const char*>(&hello), sizeof hello);
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
  const UniqueFd ours(ends[0]);
  const UniqueFd theirs(ends[1]);
  testing_support::Mutations mutations({whole});
  for (std::int64_t i = 0; i < testing_support::Mutations::rounds(5'000); ++i) {
    const std::string bytes = mutations.next();
    if (bytes.empty()) continue;  // which nobody can send
    ASSERT_EQ(send(theirs.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    const auto received = receive_hello(ours.get());
    ASSERT_EQ(received.has_value(), bytes.size() == whole.size());
    if (!received || judge(received->hello, meeting, std::nullopt) != Refusal::kNone) continue;
    // Nothing that anybody looks at is another.
    ASSERT_EQ(received->hello.from_uuid, uuids[1]);
    ASSERT_EQ(received->hello.to_uuid, uuids[0]);
    ASSERT_EQ(received->hello.from, 1);
    ASSERT_EQ(received->hello.ballot(), meeting.ballot);
  }
}

}  // namespace
}  // namespace convoy::distributed
