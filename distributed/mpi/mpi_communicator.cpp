#include "distributed/mpi/mpi_communicator.h"

#include <cstring>

#include "core/base/error.h"
#include "distributed/operation.h"

namespace convoy::distributed {
namespace {

constexpr std::int32_t kCollectiveTag = 2;
constexpr std::int32_t kPairTag = 3;              // of send() and receive(), which only two ranks take part in
constexpr std::size_t kOneRoundBytes = 64 << 10;  // below it every rank sums everything: one round instead of two
constexpr std::size_t kStreamBytes = 4 << 20;     // what is this large would only push the rest out of the cache

Store store_for(std::size_t bytes) { return bytes >= kStreamBytes ? Store::kStream : Store::kCache; }

std::size_t size_of(std::int32_t number) { return static_cast<std::size_t>(number); }

}  // namespace

class MpiCommunicator::Round {
 public:
  explicit Round(std::int32_t tag = kCollectiveTag) : tag_(tag) {}

  // Nothing is sent where there is nothing to send: both sides know.
  void send(const void* data, std::size_t bytes, std::int32_t to) {
    if (bytes > 0) transfers_.push_back({.send = data, .bytes = bytes, .peer = to, .tag = tag_});
  }
  void receive(void* data, std::size_t bytes, std::int32_t from) {
    if (bytes > 0) transfers_.push_back({.receive = data, .bytes = bytes, .peer = from, .tag = tag_});
  }
  std::vector<MpiTransfer> take() { return std::move(transfers_); }

 private:
  const std::int32_t tag_;
  std::vector<MpiTransfer> transfers_;
};

MpiCommunicator::MpiCommunicator(MpiSession& session, Ballot ballot)
    : Communicator(session.rank(), session.size()),
      session_(session),
      ballot_(ballot),
      rank_layout_(one_leaf_a_rank(session.size())),
      rank_tree_(rank_layout_) {
  std::vector<Ballot> ballots(size_of(size()));
  ballots[size_of(rank())] = ballot;
  std::vector<std::span<std::byte>> receive;
  for (Ballot& one : ballots) receive.push_back(std::as_writable_bytes(std::span(&one, 1)));
  all_gather_v(receive[size_of(rank())], receive);
  for (std::int32_t peer = 0; peer < size(); ++peer) {
    if (ballots[size_of(peer)] != ballot)
      fail(ErrorCode::kPeerLost, "rank {} is in epoch {} where rank {} is in {}", peer,
           ballots[size_of(peer)].to_string(), rank(), ballot.to_string());
  }
}

void MpiCommunicator::exchange(Round& round, std::string_view operation) {
  try {
    session_.wait(session_.begin(round.take()));
  } catch (const Error& error) {
    fail(error.code(), "{} in epoch {}: {}", operation, ballot_.to_string(), error.what());
  }
}

void MpiCommunicator::copy_own(std::span<const std::byte> from, std::span<std::byte> to,
                               std::string_view operation) const {
  if (from.size() != to.size())
    fail(ErrorCode::kInvalidArgument, "{}: rank {} sends {} bytes to itself and expects {}", operation, rank(),
         from.size(), to.size());
  if (!from.empty() && from.data() != to.data()) std::memmove(to.data(), from.data(), from.size());
}

void MpiCommunicator::all_to_all_v(std::span<const std::span<const std::byte>> send,
                                   std::span<const std::span<std::byte>> receive) {
  if (send.size() != size_of(size()) || receive.size() != send.size())
    fail(ErrorCode::kInvalidArgument, "all_to_all_v: {} blocks to send and {} to receive among {} ranks", send.size(),
         receive.size(), size());
  copy_own(send[size_of(rank())], receive[size_of(rank())], "all_to_all_v");
  Round round;
  for (std::int32_t i = 1; i < size(); ++i) {
    const std::int32_t from = (rank() + size() - i) % size();
    round.receive(receive[size_of(from)].data(), receive[size_of(from)].size(), from);
  }
  for (std::int32_t i = 1; i < size(); ++i) {
    const std::int32_t to = (rank() + i) % size();
    round.send(send[size_of(to)].data(), send[size_of(to)].size(), to);
  }
  exchange(round, "all_to_all_v");
}

void MpiCommunicator::all_gather_v(std::span<const std::byte> send, std::span<const std::span<std::byte>> receive) {
  const std::vector<std::span<const std::byte>> same(size_of(size()), send);
  if (receive.size() != same.size())
    fail(ErrorCode::kInvalidArgument, "all_gather_v: {} blocks to receive among {} ranks", receive.size(), size());
  all_to_all_v(same, receive);
}

void MpiCommunicator::reduce_scatter(ReduceType type, const void* send, void* receive,
                                     std::span<const std::int64_t> counts) {
  if (counts.size() != size_of(size()))
    fail(ErrorCode::kInvalidArgument, "reduce_scatter: {} slices among {} ranks", counts.size(), size());
  std::vector<std::byte> incoming;
  const ScatteredSum sum(type, send, counts, rank(), incoming);
  all_to_all_v(sum.outgoing, sum.arriving);
  sum.sum_into(receive);
}

void MpiCommunicator::all_reduce(ReduceType type, void* data, std::int64_t count) {
  const void* const partial = data;
  tree("all_reduce", type, rank_tree_, rank_layout_, {&partial, 1}, data, count, 1);
}

// Along a binomial tree: the root sends to the rank half the ranks away, then both do the same with their halves.
void MpiCommunicator::broadcast(void* data, std::size_t bytes, std::int32_t root) {
  if (root < 0 || root >= size()) fail(ErrorCode::kInvalidArgument, "broadcast: no rank {} among {}", root, size());
  const std::int32_t place = (rank() - root + size()) % size();
  const auto rank_of = [&](std::int32_t p) { return (p + root) % size(); };
  std::int32_t stride = 1;
  while (stride < size() && (place & stride) == 0) stride *= 2;
  if (place != 0) {
    Round round;
    round.receive(data, bytes, rank_of(place - stride));
    exchange(round, "broadcast");
  }
  Round round;
  for (stride /= 2; stride > 0; stride /= 2) {
    if (place + stride < size()) round.send(data, bytes, rank_of(place + stride));
  }
  exchange(round, "broadcast");
}

void MpiCommunicator::send(const void* data, std::size_t bytes, std::int32_t to) {
  if (to < 0 || to >= size() || to == rank())
    fail(ErrorCode::kInvalidArgument, "send: no rank {} beside rank {} of {}", to, rank(), size());
  Round round(kPairTag);
  round.send(data, bytes, to);
  exchange(round, "send");
}

void MpiCommunicator::receive(void* data, std::size_t bytes, std::int32_t from) {
  if (from < 0 || from >= size() || from == rank())
    fail(ErrorCode::kInvalidArgument, "receive: no rank {} beside rank {} of {}", from, rank(), size());
  Round round(kPairTag);
  round.receive(data, bytes, from);
  exchange(round, "receive");
}

void MpiCommunicator::tree_all_reduce(ReduceType type, const TreeLayout& layout, std::span<const void* const> partials,
                                      void* result, std::int64_t count, std::int64_t granularity) {
  check_tree_layout(layout, partials.size());
  if (!reduction_ || !(reduction_->layout() == layout)) reduction_.emplace(layout);
  tree("tree_all_reduce", type, *reduction_, layout, partials, result, count, granularity);
}

// Every rank gets its slice of everybody's partial sums, finishes the tree on it, and sends the result to all. Small
// sums are a single slice that every rank finishes for itself.
void MpiCommunicator::tree(std::string_view operation, ReduceType type, TreeReduction& reduction,
                           const TreeLayout& layout, std::span<const void* const> partials, void* result,
                           std::int64_t count, std::int64_t granularity) {
  const std::size_t element = element_size(type);
  const bool everywhere = static_cast<std::size_t>(count) * element < kOneRoundBytes;
  const auto slice = [&](std::int32_t of) {
    return everywhere ? ElementSlice{0, count} : slice_of(count, granularity, of, size());
  };
  const auto bytes_of = [&](const ElementSlice& s) { return static_cast<std::size_t>(s.count()) * element; };
  const ElementSlice own = slice(rank());
  const std::size_t own_bytes = bytes_of(own);
  const auto offset_of = [&](const ElementSlice& s) { return static_cast<std::size_t>(s.begin) * element; };

  // Operands of other ranks arrive in `incoming_`, in the order in which they are summed.
  const std::size_t needed = (reduction.operands().size() - partials.size()) * own_bytes;
  if (needed > incoming_bytes_) {
    incoming_ = std::make_unique_for_overwrite<std::byte[]>(needed);
    incoming_bytes_ = needed;
  }
  std::vector<const void*> operands;
  std::vector<std::vector<std::byte*>> places(size_of(size()));  // by rank and index
  for (std::size_t r = 0; r < places.size(); ++r) places[r].resize(layout.subtrees[r].size());
  std::byte* next = incoming_.get();
  for (const TreeReduction::Operand& operand : reduction.operands()) {
    if (operand.rank == rank()) {
      operands.push_back(static_cast<const std::byte*>(partials[size_of(operand.index)]) + offset_of(own));
    } else {
      operands.push_back(next);
      places[size_of(operand.rank)][size_of(operand.index)] = next;
      next += own_bytes;
    }
  }
  Round scatter;
  for (std::int32_t i = 1; i < size(); ++i) {
    const std::int32_t from = (rank() + size() - i) % size();
    for (std::byte* const place : places[size_of(from)]) scatter.receive(place, own_bytes, from);
  }
  for (std::int32_t i = 1; i < size(); ++i) {
    const std::int32_t to = (rank() + i) % size();
    const ElementSlice theirs = slice(to);
    for (const void* const partial : partials)
      scatter.send(static_cast<const std::byte*>(partial) + offset_of(theirs), bytes_of(theirs), to);
  }
  exchange(scatter, operation);

  std::byte* const total = static_cast<std::byte*>(result);
  reduction.sum(type, operands, total + offset_of(own), own.count(), everywhere ? Store::kCache : store_for(own_bytes));
  if (everywhere) return;
  flush_streamed_stores();
  Round gather;
  for (std::int32_t i = 1; i < size(); ++i) {
    const std::int32_t from = (rank() + size() - i) % size();
    gather.receive(total + offset_of(slice(from)), bytes_of(slice(from)), from);
  }
  for (std::int32_t i = 1; i < size(); ++i) gather.send(total + offset_of(own), own_bytes, (rank() + i) % size());
  exchange(gather, operation);
}

}  // namespace convoy::distributed
