#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <utility>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/base/unique_fd.h"
#include "distributed/local/abstract_address.h"
#include "distributed/local/hello.h"
#include "worker/donor_channel.h"
#include "worker/local_wire.h"

namespace convoy::worker {
namespace {

// The donor hashes a piece just before it sends it, and the fetch just after: both find it in their caches.
constexpr std::int64_t kPieceBytes = 512 << 10;

class LocalChannel final : public DonorChannel {
 public:
  LocalChannel(UniqueFd socket, const LocalHello& hello, const Ballot& ballot)
      : socket_(std::move(socket)), ballot_(ballot) {
    send_whole(std::as_bytes(std::span(&hello, 1)));
  }

  std::int64_t piece_bytes() const override { return kPieceBytes; }
  std::size_t window() const override { return 8; }

  void ask(const cluster::Pull& pull) override {
    const LocalQuestion question{.term = ballot_.term,
                                 .attempt = ballot_.attempt,
                                 .what = static_cast<std::uint32_t>(pull.what),
                                 .step = pull.step,
                                 .offset = pull.offset,
                                 .bytes = pull.bytes};
    send_whole(std::as_bytes(std::span(&question, 1)));
  }

  std::optional<Arrival> receive(const cluster::Pull& pull, const Destination& destination) override {
    constexpr std::int64_t kHeaderEnd = sizeof(LocalHeader);
    while (received_ < kHeaderEnd) {
      Places places;
      places.add(rest_of(header_, received_));
      if (!take(places)) return std::nullopt;
      if (received_ == kHeaderEnd) check_header(pull, total_bytes(destination));
    }
    const std::int64_t bytes_end = kHeaderEnd + header_.bytes;
    const std::int64_t end = bytes_end + static_cast<std::int64_t>(sizeof(LocalVerdict));
    while (received_ < end) {
      Places places;
      const std::int64_t done = std::min(received_ - kHeaderEnd, header_.bytes);
      visit_range(destination, pull.offset + done, header_.bytes - done,
                  [&](std::span<std::byte> part) { return places.add(part); });
      if (!places.full()) places.add(rest_of(verdict_, std::max<std::int64_t>(0, received_ - bytes_end)));
      if (!take(places)) return std::nullopt;
    }
    received_ = 0;
    if (verdict_.total < 0) return Arrival{.total = verdict_.total};
    hasher_.reset();
    visit_range(destination, pull.offset, header_.bytes, [&](std::span<std::byte> part) {
      hasher_.update(part);
      return true;
    });
    return Arrival{.total = header_.total, .sound = hasher_.value() == header_.checksum};
  }

  int descriptor() const override { return socket_.get(); }

 private:
  // Hellos and questions are small, and few are on their way.
  void send_whole(std::span<const std::byte> bytes) {
    const ssize_t sent = send(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(bytes.size())) fail_closed();
  }

  // Whether anything came.
  bool take(Places& places) {
    msghdr message = places.message();
    const ssize_t got = recvmsg(socket_.get(), &message, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (got <= 0) fail_closed();
    received_ += got;
    return true;
  }

  [[noreturn]] static void fail_closed() { fail(ErrorCode::kPeerLost, "it closed the connection"); }

  void check_header(const cluster::Pull& pull, std::int64_t total) const {
    if (header_.offset != pull.offset) fail(ErrorCode::kDataLoss, "it answered what it was not asked");
    const bool nothing = header_.total < 0 && header_.bytes == 0;
    if (!nothing && (header_.total != total || header_.bytes != pull.bytes))
      fail(ErrorCode::kDataLoss, "it gave {} of {} bytes, where {} of {} were expected", header_.bytes, header_.total,
           pull.bytes, total);
  }

  UniqueFd socket_;
  const Ballot ballot_;
  LocalHeader header_;
  LocalVerdict verdict_;
  std::int64_t received_ = 0;  // of the answer
  Xxh3Hasher64 hasher_;
};

}  // namespace

std::unique_ptr<DonorChannel> connect_locally(const Source& source, const Asker& asker) {
  const distributed::AbstractAddress address(local_donor_name(source.uuid));
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket || connect(socket.get(), address.get(), address.length()) != 0 || !distributed::peer_pid(socket.get()))
    return nullptr;
  return std::make_unique<LocalChannel>(std::move(socket), LocalHello(source.uuid, asker.token), asker.ballot);
}

}  // namespace convoy::worker
