#include "distributed/local/rendezvous.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "core/base/error.h"
#include "distributed/local/abstract_address.h"
#include "distributed/local/hello.h"

namespace convoy::distributed {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kLookAgain{10};  // for stop requests, and peers that are not ready

UniqueFd new_socket() {
  UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) fail(ErrorCode::kUnavailable, "a local socket: {}", errno_text(errno));
  return socket;
}

// One worker's side of one meeting: it connects to lower ranks and is found by higher ones.
class Encounter {
 public:
  Encounter(const Meeting& meeting, int listener, std::vector<UniqueFd>& guests)
      : meeting_(meeting),
        listener_(listener),
        guests_(guests),
        deadline_(Clock::now() + meeting.timeout),
        peers_(meeting.members.size()),
        not_before_(meeting.members.size()) {
    for (std::size_t r = 0; r < peers_.size(); ++r) peers_[r].rank = static_cast<std::int32_t>(r);
  }

  std::vector<LocalPeer> run() {
    while (true) {
      for (std::int32_t rank = 0; rank < meeting_.rank; ++rank)
        if (!peer(rank).socket && Clock::now() >= not_before_[static_cast<std::size_t>(rank)]) connect_to(rank);
      if (complete()) break;
      if (meeting_.stop.stop_requested())
        fail(ErrorCode::kInterrupted, "asked to stop while meeting the peers of epoch {}", meeting_.ballot.to_string());
      if (Clock::now() >= deadline_) fail_missing();
      wait_for_news();
    }
    peers_.erase(peers_.begin() + meeting_.rank);
    return std::move(peers_);
  }

 private:
  LocalPeer& peer(std::int32_t rank) { return peers_[static_cast<std::size_t>(rank)]; }
  const std::string& socket_name(std::int32_t rank) const {
    return meeting_.members[static_cast<std::size_t>(rank)].socket;
  }
  const Uuid& uuid(std::int32_t rank) const { return meeting_.members[static_cast<std::size_t>(rank)].uuid; }

  bool complete() const {
    return std::ranges::all_of(peers_, [this](const LocalPeer& p) { return p.segment || p.rank == meeting_.rank; });
  }

  // Says hello to a lower rank; tries again later if its queue is full.
  void connect_to(std::int32_t rank) {
    const AbstractAddress address(socket_name(rank));
    UniqueFd socket = new_socket();
    if (::connect(socket.get(), address.get(), address.length()) != 0) {
      if (errno == EAGAIN || errno == EINTR) return;
      throw PeerLost(
          fmt::format("rank {} cannot be met at local socket @{}: {}", rank, socket_name(rank), errno_text(errno)),
          {{uuid(rank), LostPeer::How::kEnded}});
    }
    const auto pid = peer_pid(socket.get());
    if (!pid)
      throw PeerLost(fmt::format("local socket @{} of rank {} belongs to another user", socket_name(rank), rank),
                     {{uuid(rank), LostPeer::How::kUnreachable}});
    if (!send_hello(socket.get(), make_hello(meeting_, rank), meeting_.segment)) fail_closed(rank);
    peer(rank).socket = std::move(socket);
    peer(rank).pid = *pid;
  }

  void wait_for_news() {
    std::vector<pollfd> polled{{listener_, POLLIN, 0}};
    for (const UniqueFd& guest : guests_) polled.push_back({guest.get(), POLLIN, 0});
    const std::size_t first_answer = polled.size();
    std::vector<std::int32_t> answering;
    for (std::int32_t rank = 0; rank < meeting_.rank; ++rank) {
      if (peer(rank).segment || !peer(rank).socket) continue;
      answering.push_back(rank);
      polled.push_back({peer(rank).socket.get(), POLLIN, 0});
    }
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now());
    if (poll(polled.data(), polled.size(), static_cast<int>(std::clamp(left, {}, kLookAgain).count())) <= 0) return;

    for (std::size_t i = 0; i < answering.size(); ++i)
      if (polled[first_answer + i].revents != 0) read_answer(answering[i]);
    for (std::size_t i = first_answer - 1; i >= 1; --i) {
      if (polled[i].revents == 0) continue;
      UniqueFd guest = std::move(guests_[i - 1]);
      guests_.erase(guests_.begin() + static_cast<std::ptrdiff_t>(i) - 1);
      admit(std::move(guest));
    }
    if (polled[0].revents != 0) {
      UniqueFd guest(accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (guest && peer_pid(guest.get())) guests_.push_back(std::move(guest));  // else a stranger, of another user
    }
  }

  // A lower rank's answer to our hello.
  void read_answer(std::int32_t rank) {
    auto answer = receive_hello(peer(rank).socket.get());
    if (!answer) fail_closed(rank);
    const Hello& hello = answer->hello;
    if (hello.refusal == Refusal::kBallot && hello.ballot() < meeting_.ballot) {
      peer(rank).socket.reset();  // it has not heard of this epoch yet
      not_before_[static_cast<std::size_t>(rank)] = Clock::now() + kLookAgain;
      return;
    }
    if (hello.refusal != Refusal::kNone)
      throw PeerLost(
          fmt::format("rank {} at local socket @{} refused this worker (rank {}, epoch {}): {}", rank,
                      socket_name(rank), meeting_.rank, meeting_.ballot.to_string(), refusal_text(hello.refusal)),
          lost_by_refusal(uuid(rank), hello.refusal));
    const Refusal refusal = judge(hello, meeting_, rank);
    if (refusal != Refusal::kNone || !answer->segment)
      throw PeerLost(
          fmt::format("whoever answers for rank {} at local socket @{} was refused: {}", rank, socket_name(rank),
                      refusal == Refusal::kNone ? "it sent no segment" : refusal_text(refusal)),
          {{uuid(rank), LostPeer::How::kUnreachable}});
    peer(rank).greeting = hello.greeting;
    peer(rank).segment = std::move(answer->segment);
  }

  // A connection on which something has arrived: a higher rank's hello, or a stranger.
  void admit(UniqueFd socket) {
    const auto pid = peer_pid(socket.get());
    auto received = receive_hello(socket.get());
    if (!pid || !received) return;
    Refusal refusal = judge(received->hello, meeting_, std::nullopt);
    const std::int32_t rank = received->hello.from;
    if (refusal == Refusal::kNone && (rank < meeting_.rank || peer(rank).segment || !received->segment))
      refusal = Refusal::kRank;
    if (refusal != Refusal::kNone) {
      last_refused_ = fmt::format("; last refused: pid {}, {}", *pid, refusal_text(refusal));
      send_hello(socket.get(), make_refusal(meeting_, refusal), -1);
      return;
    }
    if (!send_hello(socket.get(), make_hello(meeting_, rank), meeting_.segment)) return;
    peer(rank).pid = *pid;
    peer(rank).greeting = received->hello.greeting;
    peer(rank).socket = std::move(socket);
    peer(rank).segment = std::move(received->segment);
  }

  [[noreturn]] void fail_closed(std::int32_t rank) const {
    throw PeerLost(fmt::format("rank {} closed its local socket @{} while epoch {} was being set up", rank,
                               socket_name(rank), meeting_.ballot.to_string()),
                   {{uuid(rank), LostPeer::How::kEnded}});
  }

  [[noreturn]] void fail_missing() const {
    std::vector<std::string> missing;
    std::vector<LostPeer> lost;
    for (const LocalPeer& p : peers_) {
      if (p.segment || p.rank == meeting_.rank) continue;
      missing.push_back(fmt::format("rank {} (local socket @{})", p.rank, socket_name(p.rank)));
      lost.push_back({uuid(p.rank), LostPeer::How::kMissing});
    }
    throw PeerLost(fmt::format("epoch {}: rank {} did not meet {} within {} ms{}", meeting_.ballot.to_string(),
                               meeting_.rank, fmt::join(missing, ", "), meeting_.timeout.count(), last_refused_),
                   std::move(lost));
  }

  const Meeting& meeting_;
  const int listener_;
  std::vector<UniqueFd>& guests_;
  const Clock::time_point deadline_;
  std::vector<LocalPeer> peers_;               // by rank; one that has a segment has been met
  std::vector<Clock::time_point> not_before_;  // by rank: when to connect again
  std::string last_refused_;
};

}  // namespace

Rendezvous::Rendezvous(const Uuid& uuid) : name_("convoy-" + uuid.to_string()), listener_(new_socket()) {
  const AbstractAddress address(name_);
  if (bind(listener_.get(), address.get(), address.length()) != 0 || listen(listener_.get(), SOMAXCONN) != 0)
    fail(ErrorCode::kUnavailable, "local socket @{}: {}", name_, errno_text(errno));
}

std::vector<LocalPeer> Rendezvous::meet(const Meeting& meeting) {
  return Encounter(meeting, listener_.get(), guests_).run();
}

}  // namespace convoy::distributed
