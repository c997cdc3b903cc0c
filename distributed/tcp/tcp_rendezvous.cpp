#include "distributed/tcp/tcp_rendezvous.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "cluster/address.h"
#include "core/base/error.h"
#include "distributed/tcp/tcp_socket.h"
#include "distributed/tcp/tcp_watch.h"

namespace convoy::distributed {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kLookAgain{10};  // for stop requests, and peers that are not ready
constexpr std::size_t kMostStrangers = 64;           // more guests than that beside the members: the oldest must go
constexpr int kMostAtOnce = 256;                     // accepted before the others are looked at again

enum class Got { kAll, kPart, kEnd, kSilence };

// Reads on until `done` of `bytes` are there.
Got read_some(int socket, void* data, std::size_t bytes, std::size_t& done) {
  while (done < bytes) {
    const ssize_t got = recv(socket, static_cast<std::byte*>(data) + done, bytes - done, 0);
    if (got > 0) {
      done += static_cast<std::size_t>(got);
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
      return got < 0 && is_silence(errno) ? Got::kSilence : Got::kEnd;
    } else if (errno == EAGAIN) {
      return Got::kPart;
    }
  }
  return Got::kAll;
}

// A fresh connection takes so little at once, or it is broken.
template <typename T>
bool send_whole(int socket, const T& message) {
  return ::send(socket, &message, sizeof(message), MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof(message));
}

// The connector's side of one connection.
struct Call {
  enum class State { kWaiting, kConnecting, kAsked, kDone };
  std::int32_t rank = 0;
  TcpChannel channel{};
  State state = State::kWaiting;
  Clock::time_point not_before{};  // while waiting
  UniqueFd socket;
  TcpHello hello;
  TcpAnswer answer;
  std::size_t got = 0;
};

// One worker's side of one meeting: it connects to lower ranks and is found by higher ones.
class TcpEncounter {
 public:
  TcpEncounter(const TcpMeeting& meeting, int listener, std::vector<TcpGuest>& guests)
      : meeting_(meeting),
        listener_(listener),
        guests_(guests),
        deadline_(Clock::now() + meeting.timeout),
        peers_(meeting.members.size()) {
    for (std::size_t r = 0; r < peers_.size(); ++r) peers_[r].rank = static_cast<std::int32_t>(r);
    for (std::int32_t rank = 0; rank < meeting.rank; ++rank)
      for (const TcpChannel channel : {TcpChannel::kData, TcpChannel::kWatch})
        calls_.push_back({.rank = rank, .channel = channel, .socket = {}, .hello = {}, .answer = {}});
    for (TcpGuest& guest : guests_) guest.since = Clock::now();  // nobody could answer it until now
  }
  // Who was answered in this epoch must not believe that it was met, and has no place in the next. Who was met, in
  // vain, is told that this worker lives.
  ~TcpEncounter() {
    for (const TcpPeer& p : peers_) {
      const UniqueFd& watch = p.channels[static_cast<std::size_t>(TcpChannel::kWatch)];
      if (watch) say_aborting(watch.get());
    }
    std::erase_if(guests_, [](const TcpGuest& guest) { return guest.answered; });
  }
  TcpEncounter(const TcpEncounter&) = delete;
  TcpEncounter& operator=(const TcpEncounter&) = delete;

  std::vector<TcpPeer> run() {
    while (true) {
      for (Call& call : calls_)
        if (call.state == Call::State::kWaiting && Clock::now() >= call.not_before) begin(call);
      if (complete()) break;
      if (meeting_.stop.stop_requested())
        fail(ErrorCode::kInterrupted, "asked to stop while meeting the peers of epoch {}", meeting_.ballot.to_string());
      if (Clock::now() >= deadline_) fail_late();
      wait_for_news();
    }
    peers_.erase(peers_.begin() + meeting_.rank);
    return std::move(peers_);
  }

 private:
  TcpPeer& peer(std::int32_t rank) { return peers_[static_cast<std::size_t>(rank)]; }
  UniqueFd& channel(std::int32_t rank, TcpChannel channel) {
    return peer(rank).channels[static_cast<std::size_t>(channel)];
  }
  const TcpMember& member(std::int32_t rank) const { return meeting_.members[static_cast<std::size_t>(rank)]; }
  std::string name(std::int32_t rank) const {
    return fmt::format("rank {} ({}, at {})", rank, member(rank).who, member(rank).place);
  }
  bool complete() const {
    return std::ranges::all_of(peers_, [this](const TcpPeer& p) { return p.rank == meeting_.rank || p.met(); });
  }

  // --- towards lower ranks ---

  void begin(Call& call) {
    Connecting connecting = begin_connect(member(call.rank).place);
    notice_dead_host(connecting.socket.get(), meeting_.silence);
    call.socket = std::move(connecting.socket);
    call.state = Call::State::kConnecting;

    if (connecting.error != 0) fail_to_connect(call, connecting.error);
  }

  void fail_to_connect(Call& call, int error) {
    // A full queue or table, perhaps: there is a deadline. Else nobody lives there any more, or nothing gets there.
    if (error == EAGAIN || error == EINTR || error == EADDRNOTAVAIL) return call_again(call);
    if (is_silence(error)) return note_silence(call, error);
    throw PeerLost(fmt::format("{} cannot be met: {}", name(call.rank), errno_text(error)),
                   {{member(call.rank).uuid, LostPeer::How::kUnreachable}});
  }

  void note_silence(Call& call, int error) {
    call.socket.reset();
    call.state = Call::State::kDone;
    note_unreachable(call.rank, fmt::format("cannot be met: {}", errno_text(error)));
  }

  // Others are given the time to notice the same cut: who is alone in knowing of it is taken for the one that is cut
  // off.
  void note_unreachable(std::int32_t rank, const std::string& how) {
    const Uuid& uuid = member(rank).uuid;
    if (std::ranges::count(unreachable_, uuid, &LostPeer::uuid) > 0) return;
    if (meeting_.on_unreachable) meeting_.on_unreachable(uuid);
    if (unreachable_.empty()) deadline_ = std::min(deadline_, Clock::now() + spread_of_notices(meeting_.silence));
    unreachable_.push_back({uuid, LostPeer::How::kUnreachable});
    names_of_unreachable_ += fmt::format("{}{} {}", names_of_unreachable_.empty() ? "" : ", ", name(rank), how);
  }

  void call_again(Call& call) {
    call.socket.reset();
    call.state = Call::State::kWaiting;
    call.not_before = Clock::now() + kLookAgain;
  }

  void go_on(Call& call) {
    if (call.state == Call::State::kConnecting) {
      if (const int error = connect_error(call.socket.get()); error != 0) return fail_to_connect(call, error);
      call.hello = make_hello(meeting_, call.rank, call.channel);
      call.got = 0;
      call.state = Call::State::kAsked;
      if (!send_whole(call.socket.get(), call.hello)) call_again(call);
      return;
    }
    switch (read_some(call.socket.get(), &call.answer, sizeof(call.answer), call.got)) {
      case Got::kPart:
        return;
      case Got::kEnd:  // it may have had to make room; if it is gone, connecting again will tell
        return call_again(call);
      case Got::kSilence:
        return note_silence(call, ETIMEDOUT);
      case Got::kAll:
        take_answer(call);
    }
  }

  void take_answer(Call& call) {
    if (const Refusal doubt = judge(call.answer, call.hello, meeting_); doubt != Refusal::kNone)
      throw PeerLost(fmt::format("{} and this worker (rank {}, epoch {}) do not know each other: {}", name(call.rank),
                                 meeting_.rank, meeting_.ballot.to_string(), refusal_text(doubt)),
                     lost_by_refusal(member(call.rank).uuid, doubt));
    if (call.answer.refusal == Refusal::kBallot && call.answer.ballot() < meeting_.ballot)
      return call_again(call);  // it has not heard of this epoch yet
    if (call.answer.refusal != Refusal::kNone)
      throw PeerLost(fmt::format("{} refused this worker (rank {}, epoch {}): {}", name(call.rank), meeting_.rank,
                                 meeting_.ballot.to_string(), refusal_text(call.answer.refusal)),
                     lost_by_refusal(member(call.rank).uuid, call.answer.refusal));
    if (!send_whole(call.socket.get(), make_proof(call.hello, call.answer, meeting_))) return call_again(call);
    call.state = Call::State::kDone;
    // A receiver that computes takes nothing for a while, which this would mistake for silence.
    if (call.channel == TcpChannel::kData) bear_silence(call.socket.get());
    channel(call.rank, call.channel) = std::move(call.socket);
  }

  // --- from higher ranks, and strangers ---

  void accept_guests() {
    for (int i = 0; i < kMostAtOnce; ++i) {
      UniqueFd socket = accept_one(listener_);
      const bool exhausted = !socket && (errno == EMFILE || errno == ENFILE);
      if (!socket && (!exhausted || guests_.empty())) return;
      if (socket) {
        guests_.push_back({.socket = std::move(socket), .since = Clock::now(), .hello = {}, .answer = {}, .proof = {}});
        if (!listen_to(guests_.back())) guests_.pop_back();
      }
      // Strangers must not keep the members out, whatever runs short.
      if (exhausted || guests_.size() > kTcpChannels * peers_.size() + kMostStrangers) guests_.erase(guests_.begin());
    }
  }

  // Whether the guest is still one.
  bool listen_to(TcpGuest& guest) {
    if (!guest.answered) {
      const Got got = read_some(guest.socket.get(), &guest.hello, sizeof(guest.hello), guest.got);
      return got == Got::kPart || (got == Got::kAll && answer(guest));
    }
    const Got got = read_some(guest.socket.get(), &guest.proof, sizeof(guest.proof), guest.got);
    if (got == Got::kAll) admit(guest);
    return got == Got::kPart;
  }

  bool answer(TcpGuest& guest) {
    Refusal refusal = judge(guest.hello, meeting_);
    if (refusal == Refusal::kNone && channel(guest.hello.from, guest.hello.channel)) refusal = Refusal::kRank;
    guest.answer = make_answer(guest.hello, meeting_, refusal);
    const bool sent = send_whole(guest.socket.get(), guest.answer);
    if (refusal != Refusal::kNone) last_refused_ = fmt::format("; last refused: {}", refusal_text(refusal));
    guest.answered = true;
    guest.got = 0;
    return sent && refusal == Refusal::kNone;
  }

  void admit(TcpGuest& guest) {
    UniqueFd& place = channel(guest.hello.from, guest.hello.channel);
    if (place || !cluster::same(guest.proof, make_proof(guest.hello, guest.answer, meeting_))) {
      last_refused_ = fmt::format("; last refused: {}", refusal_text(place ? Refusal::kRank : Refusal::kToken));
      return;
    }
    place = std::move(guest.socket);
    if (guest.hello.channel == TcpChannel::kWatch) notice_dead_host(place.get(), meeting_.silence);
  }

  // --- both ---

  void wait_for_news() {
    polled_.clear();
    polled_.push_back({listener_, POLLIN, 0});
    for (const TcpGuest& guest : guests_) polled_.push_back({guest.socket.get(), POLLIN, 0});
    for (const Call& call : calls_) {
      const short events = call.state == Call::State::kConnecting ? POLLOUT : POLLIN;
      polled_.push_back({call.socket.get(), events, 0});  // poll passes over those without a socket
    }
    for (TcpPeer& p : peers_) {
      const bool heard = std::ranges::count(unreachable_, member(p.rank).uuid, &LostPeer::uuid) > 0;
      polled_.push_back({heard ? -1 : channel(p.rank, TcpChannel::kWatch).get(), POLLRDHUP, 0});
    }
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now());
    if (poll(polled_.data(), polled_.size(), static_cast<int>(std::clamp(left, {}, kLookAgain).count())) < 0) return;

    const pollfd* next = polled_.data() + 1;
    for (TcpGuest& guest : guests_) {
      const bool heard = (next++)->revents != 0;
      // Who was answered knows the token, believes that it is met once it has given its proof, and may be slow to.
      const bool late = !guest.answered && Clock::now() - guest.since > meeting_.patience;
      if ((heard && !listen_to(guest)) || late) guest.socket.reset();
    }
    for (Call& call : calls_)
      if ((next++)->revents != 0) go_on(call);
    for (const TcpPeer& p : peers_)
      if ((next++)->revents != 0 && !complete()) take_end(p);
    std::erase_if(guests_, [](const TcpGuest& guest) { return !guest.socket; });
    if (polled_[0].revents != 0) accept_guests();
  }

  // Hosts answer at once, whatever their workers are at.
  bool answers(std::int32_t rank) const {
    return std::ranges::none_of(
        calls_, [rank](const Call& call) { return call.rank == rank && call.state == Call::State::kConnecting; });
  }
  std::vector<LostPeer> missing() const {
    std::vector<LostPeer> lost;
    for (const TcpPeer& p : peers_) {
      if (p.rank == meeting_.rank || p.met()) continue;
      lost.push_back({member(p.rank).uuid, answers(p.rank) ? LostPeer::How::kMissing : LostPeer::How::kUnreachable});
    }
    return lost;
  }
  std::string names_of_missing() const {
    std::vector<std::string> names;
    for (const TcpPeer& p : peers_)
      if (p.rank != meeting_.rank && !p.met()) names.push_back(name(p.rank));
    return fmt::format("{}", fmt::join(names, ", "));
  }

  // Of a peer that was met.
  void take_end(const TcpPeer& p) {
    const TcpEnd end = hear_end(p.channels[static_cast<std::size_t>(TcpChannel::kWatch)].get());
    const std::string when = fmt::format("while epoch {} was being set up, before rank {} had met {}",
                                         meeting_.ballot.to_string(), meeting_.rank, names_of_missing());
    if (end == TcpEnd::kUnreachable) return note_unreachable(p.rank, "cannot be reached any more " + when);
    std::vector<LostPeer> lost = unreachable_;
    if (end == TcpEnd::kGone) lost.push_back({member(p.rank).uuid, LostPeer::How::kEnded});
    throw PeerLost(fmt::format("{} {} {}", name(p.rank), end == TcpEnd::kGone ? "is gone again" : "gave up", when),
                   std::move(lost));
  }

  [[noreturn]] void fail_late() const {
    if (!unreachable_.empty()) throw PeerLost(names_of_unreachable_, unreachable_);
    throw PeerLost(fmt::format("epoch {}: rank {} did not meet {} within {} ms{}", meeting_.ballot.to_string(),
                               meeting_.rank, names_of_missing(), meeting_.timeout.count(), last_refused_),
                   missing());
  }

  const TcpMeeting& meeting_;
  const int listener_;
  std::vector<TcpGuest>& guests_;
  Clock::time_point deadline_;
  std::vector<TcpPeer> peers_;  // by rank
  std::vector<Call> calls_;     // one a connection to a lower rank
  std::vector<pollfd> polled_;
  std::string last_refused_;
  std::vector<LostPeer> unreachable_;  // so far
  std::string names_of_unreachable_;
};

}  // namespace

TcpRendezvous::TcpRendezvous(const std::string& host)
    : listener_(cluster::listen_at(fmt::format("tcp://{}:0", host))), place_(place_of(listener_.get())) {}

std::vector<TcpPeer> TcpRendezvous::meet(const TcpMeeting& meeting) {
  return TcpEncounter(meeting, listener_.get(), guests_).run();
}

}  // namespace convoy::distributed
