#include "distributed/tcp/tcp_links.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "core/base/error.h"
#include "distributed/tcp/tcp_socket.h"

namespace convoy::distributed {
namespace {

constexpr std::size_t kMostBytes = 256 << 10;  // in one call of the system, so that all peers get their turn
constexpr std::size_t kMostParts = 16;
constexpr int kExplanation = 5;  // ms that a broken connection's reason may take

// The parts that one call moves.
class Window {
 public:
  Window(std::span<const iovec> parts) {
    std::size_t bytes = 0;
    while (count_ < parts.size() && count_ < kMostParts && bytes < kMostBytes) {
      window_[count_] = parts[count_];
      window_[count_].iov_len = std::min(window_[count_].iov_len, kMostBytes - bytes);
      bytes += window_[count_++].iov_len;
    }
    message_.msg_iov = window_;
    message_.msg_iovlen = count_;
    bytes_ = bytes;
  }
  Window(const Window&) = delete;
  Window& operator=(const Window&) = delete;
  msghdr* message() { return &message_; }
  std::size_t bytes() const { return bytes_; }

 private:
  iovec window_[kMostParts];
  std::size_t count_ = 0;
  std::size_t bytes_ = 0;
  msghdr message_{};
};

}  // namespace

void TcpQueue::clear() {
  parts_.clear();
  moved_ = 0;
  allowed_ = ~std::size_t{0};
}

void TcpQueue::add(const void* data, std::size_t bytes) {
  if (bytes > 0) parts_.push_back({const_cast<void*>(data), bytes});
}

TcpQueue::Result TcpQueue::advance(std::ptrdiff_t bytes) {
  auto left = static_cast<std::size_t>(bytes);
  while (left > 0) {
    iovec& part = parts_[moved_];
    const std::size_t step = std::min(left, part.iov_len);
    part.iov_base = static_cast<std::byte*>(part.iov_base) + step;
    part.iov_len -= step;
    left -= step;
    if (part.iov_len == 0) ++moved_;
  }
  return Result::kMoved;
}

TcpQueue::Result TcpQueue::send(int socket) {
  Window window({parts_.data() + moved_, std::min(allowed_, parts_.size()) - moved_});
  const ssize_t sent = sendmsg(socket, window.message(), MSG_NOSIGNAL);
  if (sent < 0 && errno == EINTR) return Result::kMoved;
  if (sent < 0 && errno != EAGAIN) return Result::kClosed;
  ready_ = sent == static_cast<ssize_t>(window.bytes());
  return sent > 0 ? advance(sent) : Result::kLater;
}

TcpQueue::Result TcpQueue::receive(int socket) {
  Window window({parts_.data() + moved_, std::min(allowed_, parts_.size()) - moved_});
  const ssize_t got = recvmsg(socket, window.message(), 0);
  if (got < 0 && errno == EINTR) return Result::kMoved;
  if (got == 0 || (got < 0 && errno != EAGAIN)) return Result::kClosed;
  ready_ = got == static_cast<ssize_t>(window.bytes());
  return got > 0 ? advance(got) : Result::kLater;
}

TcpLinks::TcpLinks(const TcpMeeting& meeting, std::vector<TcpPeer> peers)
    : on_unreachable_(meeting.on_unreachable),
      spread_(spread_of_notices(meeting.silence)),
      by_rank_(meeting.members.size()),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!wake_) fail(ErrorCode::kUnavailable, "eventfd: {}", errno_text(errno));
  std::ranges::rotate(peers, std::ranges::find_if(peers, [&](const TcpPeer& p) { return p.rank > meeting.rank; }));
  for (TcpPeer& peer : peers) {
    TcpLane& lane = lanes_.emplace_back();
    lane.rank = peer.rank;
    const TcpMember& member = meeting.members[static_cast<std::size_t>(peer.rank)];
    lane.uuid = member.uuid;
    lane.who = fmt::format("rank {} ({})", peer.rank, member.who);
    lane.data = std::move(peer.channels[static_cast<std::size_t>(TcpChannel::kData)]);
    lane.watch = std::move(peer.channels[static_cast<std::size_t>(TcpChannel::kWatch)]);
  }
  for (TcpLane& lane : lanes_) by_rank_[static_cast<std::size_t>(lane.rank)] = &lane;
  polled_.reserve(1 + 2 * lanes_.size());
}

TcpLinks::~TcpLinks() {
  if (latch_.tripped()) return;
  for (const TcpLane& lane : lanes_) say_leaving(lane.watch.get());
}

TcpLane* TcpLinks::lane(std::int32_t rank) { return by_rank_[static_cast<std::size_t>(rank)]; }

void TcpLinks::clear() {
  for (TcpLane& lane : lanes_) {
    lane.out.clear();
    lane.in.clear();
    lane.unchecked = false;
  }
}

void TcpLinks::check() const {
  if (latch_.tripped()) throw latch_.error();
}

void TcpLinks::abort(std::string cause, std::vector<LostPeer> lost) noexcept {
  latch_.trip(std::move(cause), std::move(lost));
  eventfd_write(wake_.get(), 1);
  for (const TcpLane& lane : lanes_) {
    say_aborting(lane.watch.get());
    shutdown(lane.watch.get(), SHUT_WR);
    shutdown(lane.data.get(), SHUT_RDWR);
  }
}

bool TcpLinks::done() const {
  return std::ranges::all_of(lanes_, [](const TcpLane& lane) { return lane.out.done() && lane.in.done(); });
}

bool TcpLinks::move() {
  bool moved = false;
  for (TcpLane& lane : lanes_) {
    if (lane.out.may_move() && lane.out.ready_) {
      const TcpQueue::Result result = lane.out.send(lane.data.get());
      if (result == TcpQueue::Result::kClosed) fail_lost(lane);
      moved = moved || result == TcpQueue::Result::kMoved;
    }
    if (lane.in.may_move() && lane.in.ready_) {
      const TcpQueue::Result result = lane.in.receive(lane.data.get());
      if (result == TcpQueue::Result::kClosed) fail_lost(lane);
      moved = moved || result == TcpQueue::Result::kMoved;
    }
  }
  return moved;
}

// What has arrived is taken before anybody's end is looked at: a peer that did its part and left is no loss.
void TcpLinks::wait() {
  polled_.clear();
  polled_.push_back({wake_.get(), POLLIN, 0});
  for (const TcpLane& lane : lanes_) {
    const auto events = static_cast<short>((lane.out.may_move() ? POLLOUT : 0) | (lane.in.may_move() ? POLLIN : 0));
    polled_.push_back({events != 0 ? lane.data.get() : -1, events, 0});
    polled_.push_back({lane.end == TcpEnd::kNone ? lane.watch.get() : -1, POLLIN, 0});
  }
  int limit = -1;
  if (give_up_at_) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*give_up_at_ - Clock::now());
    if (left.count() <= 0) fail_lost(*std::ranges::find(lanes_, TcpEnd::kUnreachable, &TcpLane::end));
    limit = static_cast<int>(left.count());
  }
  if (poll(polled_.data(), polled_.size(), limit) < 0) return;
  check();
  bool ready = false;
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    const short happened = polled_[1 + 2 * i].revents;
    if (happened == 0) continue;
    ready = true;
    if ((happened & ~POLLIN) != 0) lanes_[i].out.ready_ = true;
    if ((happened & ~POLLOUT) != 0) lanes_[i].in.ready_ = true;
  }
  if (!ready) hear_ends();
}

// Of the watched connections, after a poll.
void TcpLinks::hear_ends() {
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    if (polled_[2 + 2 * i].revents == 0) continue;
    TcpLane& lane = lanes_[i];
    lane.end = hear_end(lane.watch.get());
    if (lane.end == TcpEnd::kUnreachable) {
      if (on_unreachable_) on_unreachable_(lane.uuid);
      if (!give_up_at_) give_up_at_ = Clock::now() + spread_;
    } else if (lane.end != TcpEnd::kNone && lane.end != TcpEnd::kLeft) {
      fail_lost(lane);
    }
  }
}

std::string TcpLinks::all_with(TcpEnd end, std::string_view text) const {
  std::string all;
  for (const TcpLane& lane : lanes_)
    if (lane.end == end) all += fmt::format("{}{} {}", all.empty() ? "" : ", ", lane.who, text);
  return all;
}

// Who aborts mostly does so because of somebody else, so those who are gone or cut off are named first.
void TcpLinks::fail_lost(const TcpLane& lane) {
  check();
  // Its other connection is about to tell why.
  pollfd watch{lane.end == TcpEnd::kNone ? lane.watch.get() : -1, POLLIN, 0};
  poll(&watch, 1, kExplanation);
  check();
  std::vector<LostPeer> lost;
  for (TcpLane& other : lanes_) {
    if (other.end == TcpEnd::kNone) other.end = hear_end(other.watch.get());
    if (other.end == TcpEnd::kGone) lost.push_back({other.uuid, LostPeer::How::kEnded});
    if (other.end == TcpEnd::kUnreachable) lost.push_back({other.uuid, LostPeer::How::kUnreachable});
  }
  std::string cause = all_with(TcpEnd::kUnreachable, "cannot be reached any more");
  if (const std::string gone = all_with(TcpEnd::kGone, "is gone"); !gone.empty())
    cause += fmt::format("{}{}", cause.empty() ? "" : ", ", gone);
  if (cause.empty()) cause = all_with(TcpEnd::kAborted, "aborted");
  if (cause.empty())
    cause = fmt::format("{} {}", lane.who, lane.end == TcpEnd::kLeft ? "has left" : "broke the connection");
  abort(std::move(cause), std::move(lost));
  throw latch_.error();
}

}  // namespace convoy::distributed
