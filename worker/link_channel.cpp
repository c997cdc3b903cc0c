#include <cstring>
#include <string_view>
#include <variant>

#include "cluster/address.h"
#include "cluster/link.h"
#include "core/base/error.h"
#include "core/base/hash.h"
#include "worker/donor_channel.h"

namespace convoy::worker {
namespace {

constexpr std::chrono::seconds kConnect{1};

// The first of the addresses, which commas separate, at which somebody listens.
std::string reachable(std::string_view addresses) {
  for (std::string_view rest = addresses; !rest.empty();) {
    const std::size_t comma = rest.find(',');
    const std::string address(rest.substr(0, comma));
    if (cluster::accepts_connections(address, kConnect)) return address;
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
  }
  fail(ErrorCode::kPeerLost, "nobody answers at {}", addresses);
}

class LinkChannel final : public DonorChannel {
 public:
  LinkChannel(const Source& source, const Asker& asker)
      : ballot_(asker.ballot),
        donor_(source.uuid),
        link_({.address = reachable(source.service.address),
               .public_key = source.service.public_key,
               .token = asker.token},
              asker.self, "the donor") {}

  std::int64_t piece_bytes() const override { return cluster::kMaxPieceBytes; }
  std::size_t window() const override { return 4; }

  void ask(const cluster::Pull& pull) override { link_.send(ballot_, pull); }

  std::optional<Arrival> receive(const cluster::Pull& pull, const Destination& destination) override {
    const auto message = link_.receive(std::chrono::milliseconds(0));
    if (!message) return std::nullopt;
    const auto* piece = std::get_if<cluster::Piece>(&message->body);
    if (piece == nullptr || message->sender != donor_ || message->ballot != ballot_ || piece->offset != pull.offset)
      fail(ErrorCode::kDataLoss, "it answered what it was not asked");
    if (piece->total < 0) return Arrival{.total = piece->total};
    const std::span bytes = std::as_bytes(std::span(piece->bytes));
    if (static_cast<std::int64_t>(bytes.size()) != pull.bytes || piece->total != total_bytes(destination))
      fail(ErrorCode::kDataLoss, "it gave {} of {} bytes, where {} of {} were expected", bytes.size(), piece->total,
           pull.bytes, total_bytes(destination));
    if (xxh3_64(bytes) != piece->checksum) return Arrival{.total = piece->total, .sound = false};
    std::size_t done = 0;
    visit_range(destination, pull.offset, pull.bytes, [&](std::span<std::byte> part) {
      std::memcpy(part.data(), bytes.data() + done, part.size());
      done += part.size();
      return true;
    });
    return Arrival{.total = piece->total};
  }

  int descriptor() const override { return link_.poll_descriptor(); }

 private:
  const Ballot ballot_;
  const Uuid donor_;
  cluster::Link link_;
};

}  // namespace

std::unique_ptr<DonorChannel> connect_by_link(const Source& source, const Asker& asker) {
  return std::make_unique<LinkChannel>(source, asker);
}

}  // namespace convoy::worker
