#include "distributed/tcp/tcp_communicator.h"

#include <algorithm>
#include <cstring>

#include "core/base/error.h"

namespace convoy::distributed {
namespace {

constexpr std::size_t kForwardBytes = 256 << 10;  // a broadcast is passed on in pieces of this size

std::size_t size_of(std::int32_t number) { return static_cast<std::size_t>(number); }

}  // namespace

TcpCommunicator::TcpCommunicator(const TcpMeeting& meeting, std::vector<TcpPeer> peers)
    : Communicator(meeting.rank, static_cast<std::int32_t>(meeting.members.size())),
      ballot_(meeting.ballot),
      links_(meeting, std::move(peers)),
      rank_tree_(one_leaf_a_rank(size())) {}

// --- calls -----------------------------------------------------------------------------------------------------------

// A call that ranks disagree about: nobody can go on, so the others must not wait for this rank.
template <typename... Args>
void TcpCommunicator::refuse(fmt::format_string<Args...> format, Args&&... args) {
  abort();
  fail(ErrorCode::kInvalidArgument, "{}: {}", operation_name(operation_),
       fmt::format(format, std::forward<Args>(args)...));
}

void TcpCommunicator::enter(Operation operation, std::uint64_t check, std::uint32_t detail) {
  operation_ = operation;
  frame_ = {static_cast<std::uint32_t>(operation), detail, check, 0};
  links_.clear();
  unchecked_ = 0;
}

void TcpCommunicator::promise(TcpLane& lane, std::size_t bytes) {
  lane.sent = frame_;
  lane.sent.bytes = bytes;
  lane.out.add(&lane.sent, sizeof(lane.sent));
}

void TcpCommunicator::expect(TcpLane& lane, std::size_t bytes) {
  lane.awaited = bytes;
  lane.in.add(&lane.received, sizeof(lane.received));
  lane.unchecked = true;
  ++unchecked_;
}

void TcpCommunicator::check_frames() {
  for (TcpLane& lane : links_.lanes()) {
    if (!lane.unchecked || lane.in.moved() == 0) continue;
    lane.unchecked = false;
    --unchecked_;
    const TcpFrame& theirs = lane.received;
    // A send is answered by a receive.
    const auto operation = operation_ == Operation::kReceive ? Operation::kSend : operation_;
    if (theirs.operation != static_cast<std::uint32_t>(operation))
      refuse("rank {} is in {} where rank {} is in {}", lane.rank,
             operation_name(static_cast<Operation>(theirs.operation)), rank(), operation_name(operation_));
    if (theirs.check != frame_.check || theirs.detail != frame_.detail)
      refuse("rank {} gives {} bytes (variant {}) where rank {} gives {} (variant {})", lane.rank, theirs.check,
             theirs.detail, rank(), frame_.check, frame_.detail);
    if (theirs.bytes != lane.awaited)
      refuse("rank {} sends {} bytes to rank {}, which expects {}", lane.rank, theirs.bytes, rank(), lane.awaited);
  }
}

template <typename Advance>
void TcpCommunicator::run(Advance&& advance) {
  try {
    links_.check();
    links_.run([&] {
      if (unchecked_ > 0) check_frames();
      return advance();
    });
  } catch (const PeerLost& lost) {
    throw PeerLost(fmt::format("{} in epoch {}: {}", operation_name(operation_), ballot_.to_string(), lost.what()),
                   lost.peers());
  }
}

void TcpCommunicator::run() {
  run([] { return false; });
}

TcpLane& TcpCommunicator::lane_of(std::int32_t rank) {
  TcpLane* const lane = rank < 0 || rank >= size() ? nullptr : links_.lane(rank);
  if (lane == nullptr) refuse("no peer with rank {} among {}", rank, size());
  return *lane;
}

// --- collectives -----------------------------------------------------------------------------------------------------

void TcpCommunicator::exchange(std::span<const std::span<const std::byte>> send,
                               std::span<const std::span<std::byte>> receive) {
  const auto self = size_of(rank());
  if (send[self].size() != receive[self].size())
    refuse("rank {} sends {} bytes to itself and expects {}", rank(), send[self].size(), receive[self].size());
  for (TcpLane& lane : links_.lanes()) {
    const auto peer = size_of(lane.rank);
    promise(lane, send[peer].size());
    lane.out.add(send[peer].data(), send[peer].size());
    expect(lane, receive[peer].size());
    lane.in.add(receive[peer].data(), receive[peer].size());
  }
  if (!send[self].empty() && send[self].data() != receive[self].data())
    std::memmove(receive[self].data(), send[self].data(), send[self].size());
  run();
}

void TcpCommunicator::all_to_all_v(std::span<const std::span<const std::byte>> send,
                                   std::span<const std::span<std::byte>> receive) {
  enter(Operation::kAllToAll);
  if (send.size() != size_of(size()) || receive.size() != send.size())
    refuse("{} blocks to send and {} to receive among {} ranks", send.size(), receive.size(), size());
  exchange(send, receive);
}

void TcpCommunicator::all_gather_v(std::span<const std::byte> send, std::span<const std::span<std::byte>> receive) {
  enter(Operation::kAllGather);
  const std::vector<std::span<const std::byte>> same(size_of(size()), send);
  if (receive.size() != same.size()) refuse("{} blocks to receive among {} ranks", receive.size(), size());
  exchange(same, receive);
}

void TcpCommunicator::reduce_scatter(ReduceType type, const void* send, void* receive,
                                     std::span<const std::int64_t> counts) {
  if (counts.size() != size_of(size())) {
    enter(Operation::kReduceScatter);
    refuse("{} slices among {} ranks", counts.size(), size());
  }
  const ScatteredSum sum(type, send, counts, rank(), incoming_);
  enter(Operation::kReduceScatter, sum.bytes, static_cast<std::uint32_t>(type));
  exchange(sum.outgoing, sum.arriving);
  sum.sum_into(receive);
}

// Along a binomial tree: the root sends to the rank half the ranks away, then both do the same with their halves. What
// has arrived is passed on while the rest is under way.
void TcpCommunicator::broadcast(void* data, std::size_t bytes, std::int32_t root) {
  enter(Operation::kBroadcast, bytes, static_cast<std::uint32_t>(root));
  if (root < 0 || root >= size()) refuse("no rank {} among {}", root, size());
  const std::int32_t place = (rank() - root + size()) % size();
  const auto lane_at = [&](std::int32_t p) -> TcpLane& { return lane_of((p + root) % size()); };
  const auto add_pieces = [&](TcpQueue& queue) {
    for (std::size_t at = 0; at < bytes; at += kForwardBytes)
      queue.add(static_cast<std::byte*>(data) + at, std::min(kForwardBytes, bytes - at));
  };
  std::int32_t stride = 1;
  while (stride < size() && (place & stride) == 0) stride *= 2;
  TcpLane* const from = place == 0 ? nullptr : &lane_at(place - stride);
  if (from != nullptr) {
    expect(*from, bytes);
    add_pieces(from->in);
  }
  std::vector<TcpLane*> to;
  for (stride /= 2; stride > 0; stride /= 2) {
    if (place + stride >= size()) continue;
    to.push_back(&lane_at(place + stride));
    promise(*to.back(), bytes);
    add_pieces(to.back()->out);
    if (from != nullptr) to.back()->out.hold_after(1);
  }
  std::size_t passed = 1;  // parts, the frame counted
  run([&] {
    if (from == nullptr || from->in.moved() <= passed) return false;
    passed = from->in.moved();
    for (TcpLane* const lane : to) lane->out.hold_after(passed);
    return true;
  });
}

void TcpCommunicator::send(const void* data, std::size_t bytes, std::int32_t to) {
  enter(Operation::kSend, bytes);
  TcpLane& lane = lane_of(to);
  promise(lane, bytes);
  lane.out.add(data, bytes);
  run();
}

void TcpCommunicator::receive(void* data, std::size_t bytes, std::int32_t from) {
  enter(Operation::kReceive, bytes);
  TcpLane& lane = lane_of(from);
  expect(lane, bytes);
  lane.in.add(data, bytes);
  run();
}

// --- sums ------------------------------------------------------------------------------------------------------------

void TcpCommunicator::all_reduce(ReduceType type, void* data, std::int64_t count) {
  const void* const partial = data;
  tree(Operation::kAllReduce, type, rank_tree_, {&partial, 1}, data, count, 1);
}

void TcpCommunicator::tree_all_reduce(ReduceType type, const TreeLayout& layout, std::span<const void* const> partials,
                                      void* result, std::int64_t count, std::int64_t granularity) {
  check_tree_layout(layout, partials.size());
  if (!reduction_ || !(reduction_->layout() == layout)) reduction_.emplace(layout);
  tree(Operation::kTreeAllReduce, type, *reduction_, partials, result, count, granularity);
}

void TcpCommunicator::tree(Operation operation, ReduceType type, TreeReduction& reduction,
                           std::span<const void* const> partials, void* result, std::int64_t count,
                           std::int64_t granularity) {
  enter(operation, static_cast<std::size_t>(count) * element_size(type), static_cast<std::uint32_t>(type));
  tree_.begin({.type = type,
               .reduction = &reduction,
               .partials = partials,
               .result = result,
               .count = count,
               .granularity = granularity,
               .rank = rank(),
               .size = size()});
  for (TcpLane& lane : links_.lanes()) {
    promise(lane, tree_.bytes_to(lane.rank));
    expect(lane, tree_.bytes_from(lane.rank));
    tree_.lay_out(lane);
  }
  run([&] { return tree_.advance(links_.lanes()); });
  tree_.finish();
}

}  // namespace convoy::distributed
