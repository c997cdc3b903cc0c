#include "worker/donor_guest.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>
#include <mutex>
#include <utility>

#include "distributed/local/hello.h"

namespace convoy::worker {
namespace {

constexpr std::array<std::byte, 4096> kFiller{};

bool is_unix_socket(int socket) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  return getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length) == 0 && address.ss_family == AF_UNIX;
}

}  // namespace

DonorGuest::DonorGuest(UniqueFd socket, const Uuid& donor, const std::string& token, Shelf& shelf)
    : socket_(std::move(socket)),
      donor_(donor),
      token_(token),
      shelf_(shelf),
      is_near_(is_unix_socket(socket_.get()) && distributed::peer_pid(socket_.get())) {}

pollfd DonorGuest::interest() const {
  const short events = state_ == State::kAnswer ? POLLOUT : POLLIN;  // what is asked meanwhile waits in the socket
  return {.fd = socket_.get(), .events = events, .revents = 0};
}

std::optional<DonorGuest::Clock::time_point> DonorGuest::stranger_since() const {
  return state_ == State::kHello || state_ == State::kProof ? std::optional(since_) : std::nullopt;
}

bool DonorGuest::go_on() noexcept {
  try {
    switch (state_) {
      case State::kHello:
        return read(hello_) ? challenge() : open_;
      case State::kProof:
        if (!read(proof_)) return open_;
        state_ = State::kQuestion;
        return cluster::same(proof_.signature, sign_proof(token_, hello_, challenge_));
      case State::kQuestion:
        if (!read(question_)) return open_;
        begin_answer();
        return answer();
      case State::kAnswer:
        return answer();
    }
  } catch (const std::exception&) {  // no memory: who asked turns to another donor
  }
  return false;
}

// Whether the whole value is there.
template <class Value>
bool DonorGuest::read(Value& value) {
  Places places;
  places.add_rest(value, received_);
  msghdr message = places.message();
  const ssize_t got = recvmsg(socket_.get(), &message, MSG_DONTWAIT);
  if (got <= 0) {
    open_ = got < 0 && (errno == EAGAIN || errno == EINTR);
    return false;
  }
  received_ += got;
  if (received_ < static_cast<std::int64_t>(sizeof(Value))) return false;
  received_ = 0;
  return true;
}

// Whether the socket took anything.
bool DonorGuest::send(Places& places) {
  const msghdr message = places.message();
  const ssize_t sent = sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0) {
    open_ = errno == EAGAIN || errno == EINTR;
    return false;
  }
  sent_ += sent;
  return true;
}

bool DonorGuest::challenge() {
  const DonorHello expected{.donor = donor_, .asker = hello_.asker, .nonce = hello_.nonce};
  if (!std::ranges::equal(bytes_of(hello_), bytes_of(expected))) return false;
  challenge_.nonce = cluster::make_nonce();
  if (is_near_) challenge_.nonce_address = reinterpret_cast<std::uintptr_t>(&challenge_.nonce);
  challenge_.signature = sign_challenge(token_, hello_, challenge_);
  state_ = State::kProof;
  Places places;
  places.add(bytes_of(challenge_));
  return send(places) && sent_ == sizeof challenge_;  // a socket on which nothing was sent yet takes so little at once
}

void DonorGuest::begin_answer() {
  header_ = {.offset = question_.offset, .total = kNeverHere};
  places_.clear();
  verdict_.reset();
  sent_ = 0;
  state_ = State::kAnswer;
  const bool by_place = question_.where != 0 && is_near_;
  if (question_.what > static_cast<std::uint16_t>(Pull::What::kGradient) || question_.offset < 0 ||
      question_.bytes < 0 || question_.bytes > (by_place ? kMaxPlacedBytes : kMaxPieceBytes))
    return;
  const std::lock_guard lock(shelf_.reading);
  const Offer offer = look();
  header_.total = offer.total();
  if (header_.offset < header_.total) header_.bytes = std::min(header_.total - header_.offset, question_.bytes);
  hasher_.reset();
  visit_range(offer.parts, header_.offset, header_.bytes, [&](std::span<const std::byte> part) {
    if (by_place) {
      places_.push_back({.address = reinterpret_cast<std::uintptr_t>(part.data()), .bytes = part.size()});
    } else {
      hasher_.update(part);
    }
    return true;
  });
  header_.places = static_cast<std::int64_t>(places_.size());
  header_.checksum = hasher_.value();
}

std::int64_t DonorGuest::payload_bytes() const {
  return places_.empty() ? header_.bytes : static_cast<std::int64_t>(std::as_bytes(std::span(places_)).size());
}

// Adds what comes after `done` bytes of it.
void DonorGuest::add_payload(std::int64_t done, Places& places) {
  if (!places_.empty()) {
    places.add(std::as_bytes(std::span(places_)).subspan(static_cast<std::size_t>(done)));
    return;
  }
  // What was found a moment ago need not be there any more. Its place is filled; the verdict tells.
  const Offer offer = header_.total < 0 ? Offer{} : look();
  if (offer.total() == header_.total) {
    visit_range(offer.parts, header_.offset + done, header_.bytes - done,
                [&](std::span<const std::byte> part) { return places.add(part); });
  } else {
    places.add(std::span(kFiller).first(std::min(kFiller.size(), static_cast<std::size_t>(header_.bytes - done))));
  }
}

// Sends what the socket takes of header, payload and verdict.
bool DonorGuest::answer() {
  constexpr std::int64_t kHeaderEnd = sizeof(DonorHeader);
  const std::int64_t payload_end = kHeaderEnd + payload_bytes();
  const std::lock_guard lock(shelf_.reading);
  if (sent_ < payload_end) {
    Places places;
    if (sent_ < kHeaderEnd) places.add_rest(header_, sent_);
    add_payload(std::max<std::int64_t>(0, sent_ - kHeaderEnd), places);
    if (!send(places) || sent_ < payload_end) return open_;
  }
  if (!verdict_) verdict_ = DonorVerdict{.total = header_.total < 0 ? header_.total : look().total()};
  Places places;
  places.add_rest(*verdict_, sent_ - payload_end);
  if (send(places) && sent_ == payload_end + static_cast<std::int64_t>(sizeof(DonorVerdict))) state_ = State::kQuestion;
  return open_;
}

}  // namespace convoy::worker
