#include "worker/donor_channel.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <span>
#include <string_view>
#include <utility>

#include "cluster/address.h"
#include "core/base/error.h"
#include "distributed/local/abstract_address.h"
#include "distributed/local/hello.h"

namespace convoy::worker {
namespace {

constexpr std::chrono::seconds kConnect{1};

// None if the donor is not on this host.
UniqueFd connect_locally(const Uuid& donor) {
  const distributed::AbstractAddress address(donor_socket(donor));
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const bool connected = socket && connect(socket.get(), address.get(), address.length()) == 0;
  return connected && distributed::peer_pid(socket.get()) ? std::move(socket) : UniqueFd();  // of our user
}

UniqueFd connect_to_one_of(std::string_view addresses) {
  for (std::string_view rest = addresses; !rest.empty();) {
    const std::size_t comma = rest.find(',');
    UniqueFd socket = cluster::connect_to(std::string(rest.substr(0, comma)), kConnect);
    const int at_once = 1;
    if (socket) {
      setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once);
      return socket;
    }
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
  }
  fail(ErrorCode::kPeerLost, "nobody answers at {}", addresses);
}

UniqueFd connect_to(const Source& source, bool locally) {
  if (locally) {
    if (UniqueFd socket = connect_locally(source.uuid)) return socket;
  }
  return connect_to_one_of(source.service.address);
}

[[noreturn]] void fail_closed() { fail(ErrorCode::kPeerLost, "it closed the connection"); }

}  // namespace

DonorChannel::DonorChannel(const Source& source, const Asker& asker, bool locally)
    : asker_(asker),
      hello_{.donor = source.uuid, .asker = asker.self, .nonce = cluster::make_nonce()},
      socket_(connect_to(source, locally)) {
  send(bytes_of(hello_));
}

void DonorChannel::ask(const cluster::Pull& pull) {
  const DonorQuestion question{.term = asker_.ballot.term,
                               .attempt = asker_.ballot.attempt,
                               .what = static_cast<std::uint32_t>(pull.what),
                               .step = pull.step,
                               .offset = pull.offset,
                               .bytes = pull.bytes};
  const auto bytes = bytes_of(question);
  if (introduced_) return send(bytes);
  unsent_.insert(unsent_.end(), bytes.begin(), bytes.end());
}

std::optional<DonorChannel::Arrival> DonorChannel::receive(const cluster::Pull& pull, const Destination& destination) {
  if (!introduced_ && !introduce()) return std::nullopt;
  constexpr std::int64_t kHeaderEnd = sizeof(DonorHeader);
  while (received_ < kHeaderEnd) {
    Places places;
    places.add_rest(header_, received_);
    if (!take(places)) return std::nullopt;
    if (received_ == kHeaderEnd) check_header(pull, total_bytes(destination));
  }
  const std::int64_t bytes_end = kHeaderEnd + header_.bytes;
  const std::int64_t end = bytes_end + static_cast<std::int64_t>(sizeof(DonorVerdict));
  while (received_ < end) {
    Places places;
    const std::int64_t done = std::min(received_ - kHeaderEnd, header_.bytes);
    visit_range(destination, pull.offset + done, header_.bytes - done,
                [&](std::span<std::byte> part) { return places.add(part); });
    if (!places.full()) places.add_rest(verdict_, std::max<std::int64_t>(0, received_ - bytes_end));
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

// Whether both know of each other that they are of the run.
bool DonorChannel::introduce() {
  while (received_ < static_cast<std::int64_t>(sizeof challenge_)) {
    Places places;
    places.add_rest(challenge_, received_);
    if (!take(places)) return false;
  }
  received_ = 0;
  if (!cluster::same(challenge_.signature, sign_challenge(asker_.token, hello_, challenge_.nonce)))
    fail(ErrorCode::kPeerLost, "it does not know this run's token");
  const DonorProof proof{.signature = sign_proof(asker_.token, hello_, challenge_)};
  send(bytes_of(proof));
  send(std::exchange(unsent_, {}));
  introduced_ = true;
  return true;
}

// What is sent here is small, and little of it is on its way at any time.
void DonorChannel::send(std::span<const std::byte> bytes) {
  const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent != static_cast<ssize_t>(bytes.size())) fail_closed();
}

// Whether anything came.
bool DonorChannel::take(Places& places) {
  msghdr message = places.message();
  const ssize_t got = recvmsg(socket_.get(), &message, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (got <= 0) fail_closed();
  received_ += got;
  return true;
}

void DonorChannel::check_header(const cluster::Pull& pull, std::int64_t total) const {
  if (header_.offset != pull.offset) fail(ErrorCode::kDataLoss, "it answered what it was not asked");
  const bool nothing = header_.total < 0 && header_.bytes == 0;
  if (!nothing && (header_.total != total || header_.bytes != pull.bytes))
    fail(ErrorCode::kDataLoss, "it gave {} of {} bytes, where {} of {} were expected", header_.bytes, header_.total,
         pull.bytes, total);
}

}  // namespace convoy::worker
