#include "worker/donor.h"

#include <pthread.h>

#include <csignal>
#include <utility>
#include <variant>

#include "cluster/address.h"
#include "core/base/hash.h"

namespace convoy::worker {
namespace {

constexpr std::chrono::hours kUntilWoken{1};

std::string addresses_of(const std::string& bound) {
  const cluster::HostPort where = cluster::split_address(bound);
  if (where.host != "0.0.0.0") return bound;
  std::string all;
  for (const std::string& host : cluster::own_addresses())
    all += fmt::format("{}tcp://{}:{}", all.empty() ? "" : ",", host, where.port);
  return all.empty() ? fmt::format("tcp://127.0.0.1:{}", where.port) : all;
}

}  // namespace

Donor::Donor(DonorOptions options)
    : shelf_{.find = std::move(options.find), .reading = {}},
      hub_(options.listen, options.token, options.self),
      service_{.address = addresses_of(hub_.credentials().address), .public_key = hub_.credentials().public_key},
      local_(options.self, options.token, shelf_),
      thread_([this] { serve(); }) {}

Donor::~Donor() {
  stopping_ = true;
  hub_.wake();
  thread_.join();
  hub_.close(std::chrono::milliseconds(0));
}

void Donor::settle() { const std::lock_guard lock(shelf_.reading); }

void Donor::serve() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);  // signals are for the program's own threads
  while (!stopping_) {
    try {
      const auto message = hub_.receive(kUntilWoken);
      if (!message) continue;
      const auto* pull = std::get_if<cluster::Pull>(&message->body);
      if (pull != nullptr) hub_.send(message->sender, message->ballot, piece_for(message->ballot, *pull));
    } catch (const std::exception&) {  // no memory, no descriptors: who asked waits in vain and turns to another donor
    }
  }
}

cluster::Piece Donor::piece_for(const Ballot& ballot, const cluster::Pull& pull) {
  cluster::Piece piece{.offset = pull.offset, .total = kNeverHere, .bytes = {}};
  if (pull.offset < 0 || pull.bytes < 0 || pull.bytes > cluster::kMaxPieceBytes) return piece;
  {
    const std::lock_guard lock(shelf_.reading);
    const Offer offer = shelf_.find(ballot, pull);
    piece.total = offer.total();
    const std::int64_t bytes = std::clamp<std::int64_t>(piece.total - pull.offset, 0, pull.bytes);
    piece.bytes.reserve(static_cast<std::size_t>(bytes));
    visit_range(offer.parts, pull.offset, bytes, [&](std::span<const std::byte> part) {
      piece.bytes.append(reinterpret_cast<const char*>(part.data()), part.size());
      return true;
    });
    if (piece.total < 0) return piece;
    if (const std::int64_t still = shelf_.find(ballot, pull).total(); still < 0)
      return {.offset = pull.offset, .total = still, .bytes = {}};
  }
  piece.checksum = xxh3_64(std::as_bytes(std::span(piece.bytes)));
  return piece;
}

}  // namespace convoy::worker
