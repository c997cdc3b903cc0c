#include "worker/donor_channel.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>

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
// A donor hashes a piece just before it sends it, and the fetch just after it arrived: both find it in their caches.
constexpr std::int64_t kPieceBytes = 512 << 10;
constexpr std::size_t kWindow = 8;  // so that the donor never waits for the next question

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
    if (socket) {
      const int at_once = 1;
      setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once);
      return socket;
    }
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
  }
  fail(ErrorCode::kPeerLost, "nobody answers at {}", addresses);
}

[[noreturn]] void fail_closed() { fail(ErrorCode::kPeerLost, "it closed the connection"); }

}  // namespace

DonorChannel::DonorChannel(const Source& source, const Asker& asker, Way way)
    : asker_(asker), hello_{.donor = source.uuid, .asker = asker.self, .nonce = cluster::make_nonce()}, way_(way) {
  if (way_ != Way::kNetwork) socket_ = connect_locally(source.uuid);
  if (socket_) {
    pid_ = distributed::peer_pid(socket_.get()).value_or(0);
  } else {
    way_ = Way::kNetwork;
    socket_ = connect_to_one_of(source.service.address);
  }
  send(bytes_of(hello_));
}

bool DonorChannel::is_open() {
  while (!open_) {
    Places places;
    places.add_rest(challenge_, received_);
    if (!take(places)) return false;
    if (received_ < static_cast<std::int64_t>(sizeof challenge_)) continue;
    received_ = 0;
    if (!cluster::same(challenge_.signature, sign_challenge(asker_.token, hello_, challenge_)))
      fail(ErrorCode::kPeerLost, "it does not know this run's token");
    const DonorProof proof{.signature = sign_proof(asker_.token, hello_, challenge_)};
    send(bytes_of(proof));
    if (way_ == Way::kMemory && !donor_is_readable()) way_ = Way::kSocket;
    open_ = true;
  }
  return true;
}

// Some systems let nobody read another process, and where process ids differ there may be another one of that id.
bool DonorChannel::donor_is_readable() const {
  cluster::Nonce nonce{};
  iovec here{.iov_base = nonce.data(), .iov_len = nonce.size()};
  iovec there{.iov_base = reinterpret_cast<void*>(challenge_.nonce_address), .iov_len = nonce.size()};
  return process_vm_readv(pid_, &here, 1, &there, 1, 0) == static_cast<ssize_t>(nonce.size()) &&
         nonce == challenge_.nonce;
}

std::int64_t DonorChannel::piece_bytes() const { return way_ == Way::kMemory ? kMaxPlacedBytes : kPieceBytes; }

std::size_t DonorChannel::window() const { return way_ == Way::kMemory ? 1 : kWindow; }

void DonorChannel::ask(const Pull& pull) { ask(pull, way_ == Way::kMemory); }

void DonorChannel::ask(const Pull& pull, bool where) {
  const DonorQuestion question{.term = asker_.ballot.term,
                               .attempt = asker_.ballot.attempt,
                               .what = static_cast<std::uint16_t>(pull.what),
                               .where = where,
                               .step = pull.step,
                               .offset = pull.offset,
                               .bytes = pull.bytes};
  send(bytes_of(question));
}

std::optional<DonorChannel::Arrival> DonorChannel::receive(const Pull& pull, const Destination& destination) {
  return way_ == Way::kMemory ? read_directly(pull, destination) : receive_bytes(pull, destination);
}

std::optional<DonorChannel::Arrival> DonorChannel::receive_bytes(const Pull& pull, const Destination& destination) {
  if (!receive_header(pull, total_bytes(destination))) return std::nullopt;
  const auto add_payload = [&](std::int64_t done, Places& places) {
    visit_range(destination, pull.offset + done, header_.bytes - done,
                [&](std::span<std::byte> part) { return places.add(part); });
  };
  if (!receive_rest(header_.bytes, add_payload)) return std::nullopt;
  if (verdict_.total < 0) return Arrival{.total = verdict_.total};
  hasher_.reset();
  visit_range(destination, pull.offset, header_.bytes, [&](std::span<std::byte> part) {
    hasher_.update(part);
    return true;
  });
  return Arrival{.total = header_.total, .sound = hasher_.value() == header_.checksum};
}

std::optional<DonorChannel::Arrival> DonorChannel::read_directly(const Pull& pull, const Destination& destination) {
  if (!awaits_verdict_) {
    if (!receive_header(pull, total_bytes(destination))) return std::nullopt;
    places_.resize(static_cast<std::size_t>(header_.places));
    const auto bytes = std::as_writable_bytes(std::span(places_));
    const auto add_places = [&](std::int64_t done, Places& places) {
      places.add(bytes.subspan(static_cast<std::size_t>(done)));
    };
    if (!receive_rest(static_cast<std::int64_t>(bytes.size()), add_places)) return std::nullopt;
    if (verdict_.total < 0) return Arrival{.total = verdict_.total};
    was_read_ = read_memory(pull, destination);
    Pull nothing = pull;
    nothing.bytes = 0;
    ask(nothing, /*where=*/false);
    awaits_verdict_ = true;
  }
  Pull nothing = pull;
  nothing.bytes = 0;
  if (!receive_header(nothing, total_bytes(destination)) || !receive_rest(0, [](std::int64_t, Places&) {}))
    return std::nullopt;
  awaits_verdict_ = false;
  if (!was_read_ && verdict_.total >= 0) fail(ErrorCode::kPeerLost, "its memory could not be read");
  return Arrival{.total = verdict_.total};
}

// False: not all of it is there to be read, or not any more.
bool DonorChannel::read_memory(const Pull& pull, const Destination& destination) const {
  std::vector<std::span<const std::byte>> there;  // never looked at here
  for (const DonorPlace& place : places_) {
    const auto* const begin = reinterpret_cast<const std::byte*>(place.address);
    there.emplace_back(begin, static_cast<std::size_t>(place.bytes));
  }
  if (total_bytes(there) != pull.bytes) return false;
  for (std::int64_t done = 0; done < pull.bytes;) {
    Places from;
    Places to;
    visit_range(there, done, pull.bytes - done, [&](std::span<const std::byte> part) { return from.add(part); });
    visit_range(destination, pull.offset + done, pull.bytes - done,
                [&](std::span<std::byte> part) { return to.add(part); });
    const msghdr source = from.message();
    const msghdr target = to.message();
    const ssize_t got = process_vm_readv(pid_, target.msg_iov, target.msg_iovlen, source.msg_iov, source.msg_iovlen, 0);
    if (got <= 0) return false;
    done += got;
  }
  return true;
}

// Whether the header is there.
bool DonorChannel::receive_header(const Pull& pull, std::int64_t total) {
  constexpr std::int64_t kHeaderEnd = sizeof(DonorHeader);
  while (received_ < kHeaderEnd) {
    Places places;
    places.add_rest(header_, received_);
    if (!take(places)) return false;
    if (received_ < kHeaderEnd) continue;
    if (header_.offset != pull.offset) fail(ErrorCode::kDataLoss, "it answered what it was not asked");
    const bool nothing = header_.total < 0 && header_.bytes == 0 && header_.places == 0;
    const bool too_many = header_.places < 0 || header_.places > header_.bytes;
    if (!nothing && (header_.total != total || header_.bytes != pull.bytes || too_many))
      fail(ErrorCode::kDataLoss, "it gave {} of {} bytes, where {} of {} were expected", header_.bytes, header_.total,
           pull.bytes, total);
  }
  return true;
}

// Whether payload and verdict are there; add_payload(done, places) adds the places of what comes after `done` bytes.
template <class AddPayload>
bool DonorChannel::receive_rest(std::int64_t payload_bytes, AddPayload add_payload) {
  constexpr std::int64_t kHeaderEnd = sizeof(DonorHeader);
  const std::int64_t payload_end = kHeaderEnd + payload_bytes;
  while (received_ < payload_end + static_cast<std::int64_t>(sizeof(DonorVerdict))) {
    Places places;
    if (received_ < payload_end) add_payload(received_ - kHeaderEnd, places);
    if (!places.full()) places.add_rest(verdict_, std::max<std::int64_t>(0, received_ - payload_end));
    if (!take(places)) return false;
  }
  received_ = 0;
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

}  // namespace convoy::worker
