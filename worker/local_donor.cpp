#include "worker/local_donor.h"

#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "distributed/local/abstract_address.h"
#include "distributed/local/hello.h"

namespace convoy::worker {
namespace {

constexpr std::array<std::byte, 4096> kFiller{};

}  // namespace

// One connection. It is asked, then it answers; what is asked meanwhile waits in the socket.
class LocalDonor::Guest {
 public:
  Guest(UniqueFd socket, const LocalHello& expected, Shelf& shelf)
      : socket_(std::move(socket)), expected_(expected), shelf_(shelf) {}

  pollfd interest() const {
    return {.fd = socket_.get(), .events = static_cast<short>(answering_ ? POLLOUT : POLLIN), .revents = 0};
  }

  // Goes on with what it was at, as far as the socket lets it. False: the connection is over.
  bool go_on() noexcept {
    try {
      return answering_ ? answer() : listen();
    } catch (const std::exception&) {  // no memory: who asked turns to another donor
      return false;
    }
  }

 private:
  bool listen() {
    if (!greeted_) {
      LocalHello hello;
      if (!read_into(hello)) return open_;
      greeted_ = hello == expected_;
      return greeted_;
    }
    if (!read_into(question_)) return open_;
    begin_answer();
    return answer();
  }

  // Whether a whole `value` is there.
  template <class Value>
  bool read_into(Value& value) {
    static_assert(sizeof(Value) <= sizeof(incoming_));
    const ssize_t got = recv(socket_.get(), incoming_ + received_, sizeof(Value) - received_, MSG_DONTWAIT);
    if (got <= 0) {
      open_ = got < 0 && (errno == EAGAIN || errno == EINTR);
      return false;
    }
    received_ += static_cast<std::size_t>(got);
    if (received_ < sizeof(Value)) return false;
    std::memcpy(&value, incoming_, sizeof(Value));
    received_ = 0;
    return true;
  }

  Offer look() { return shelf_.find(question_.ballot(), question_.pull()); }

  void begin_answer() {
    header_ = {.offset = question_.offset, .total = kNeverHere};
    verdict_.reset();
    sent_ = 0;
    answering_ = true;
    if (question_.what > static_cast<std::uint32_t>(cluster::Pull::What::kGradient) || question_.offset < 0 ||
        question_.bytes < 0 || question_.bytes > cluster::kMaxPieceBytes)
      return;
    const std::lock_guard lock(shelf_.reading);
    const Offer offer = look();
    header_.total = offer.total();
    header_.bytes = std::clamp<std::int64_t>(header_.total - header_.offset, 0, question_.bytes);
    hasher_.reset();
    visit_range(offer.parts, header_.offset, header_.bytes, [&](std::span<const std::byte> part) {
      hasher_.update(part);
      return true;
    });
    header_.checksum = hasher_.value();
  }

  // Sends what the socket takes of header, bytes and verdict.
  bool answer() {
    constexpr std::int64_t kHeaderEnd = sizeof(LocalHeader);
    const std::int64_t bytes_end = kHeaderEnd + header_.bytes;
    const std::lock_guard lock(shelf_.reading);
    if (sent_ < bytes_end) {
      Places places;
      if (sent_ < kHeaderEnd) places.add(rest_of(header_, sent_));
      const std::int64_t done = std::max<std::int64_t>(0, sent_ - kHeaderEnd);
      // What was found a moment ago need not be there any more. Its place is filled; the verdict tells.
      const Offer offer = header_.total < 0 ? Offer{} : look();
      if (offer.total() == header_.total) {
        visit_range(offer.parts, header_.offset + done, header_.bytes - done,
                    [&](std::span<const std::byte> part) { return places.add(part); });
      } else {
        places.add(std::span(kFiller).first(std::min(kFiller.size(), static_cast<std::size_t>(header_.bytes - done))));
      }
      if (!send(places) || sent_ < bytes_end) return open_;
    }
    if (!verdict_) verdict_ = LocalVerdict{.total = header_.total < 0 ? header_.total : look().total()};
    Places places;
    places.add(rest_of(*verdict_, sent_ - bytes_end));
    if (send(places)) answering_ = sent_ < bytes_end + static_cast<std::int64_t>(sizeof(LocalVerdict));
    return open_;
  }

  // Whether the socket took anything.
  bool send(Places& places) {
    const msghdr message = places.message();
    const ssize_t sent = sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) {
      open_ = errno == EAGAIN || errno == EINTR;
      return false;
    }
    sent_ += sent;
    return true;
  }

  UniqueFd socket_;
  const LocalHello& expected_;
  Shelf& shelf_;
  bool open_ = true;
  bool greeted_ = false;
  alignas(8) std::byte incoming_[sizeof(LocalHello)];
  std::size_t received_ = 0;  // of what is expected next
  LocalQuestion question_;
  bool answering_ = false;
  LocalHeader header_;
  std::optional<LocalVerdict> verdict_;
  std::int64_t sent_ = 0;  // of the answer
  Xxh3Hasher64 hasher_;
};

LocalDonor::LocalDonor(const Uuid& self, const std::string& token, Shelf& shelf)
    : expected_(self, token), shelf_(shelf), listener_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
  const std::string name = local_donor_name(self);
  const distributed::AbstractAddress address(name);
  if (!listener_ || bind(listener_.get(), address.get(), address.length()) != 0 ||
      listen(listener_.get(), SOMAXCONN) != 0)
    fail(ErrorCode::kUnavailable, "local socket @{}: {}", name, errno_text(errno));
  thread_ = std::thread([this] { serve(); });
}

LocalDonor::~LocalDonor() {
  stopping_ = true;
  wake_.signal();
  thread_.join();
}

void LocalDonor::serve() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);  // signals are for the program's own threads
  std::vector<pollfd> polled;
  while (!stopping_) {
    polled.assign({{wake_.descriptor(), POLLIN, 0}, {listener_.get(), POLLIN, 0}});
    for (const auto& guest : guests_) polled.push_back(guest->interest());
    if (poll(polled.data(), polled.size(), -1) < 0) continue;
    for (std::size_t i = guests_.size(); i-- > 0;) {
      if (polled[i + 2].revents != 0 && !guests_[i]->go_on())
        guests_.erase(guests_.begin() + static_cast<std::ptrdiff_t>(i));
    }
    if (polled[1].revents != 0) admit();
  }
}

void LocalDonor::admit() {
  UniqueFd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket) {
    if (errno != EAGAIN) std::this_thread::sleep_for(std::chrono::milliseconds(10));  // no descriptors, for a while
    return;
  }
  if (distributed::peer_pid(socket.get()))  // of our user
    guests_.push_back(std::make_unique<Guest>(std::move(socket), expected_, shelf_));
}

}  // namespace convoy::worker
