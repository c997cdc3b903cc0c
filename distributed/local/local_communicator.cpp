#include "distributed/local/local_communicator.h"

#include <algorithm>
#include <cstring>

#include "core/base/error.h"

namespace convoy::distributed {
namespace {

constexpr std::chrono::microseconds kSpin{20};
constexpr std::size_t kOneRoundBytes = 64 << 10;  // below it every rank sums everything: one round instead of three
constexpr std::size_t kStreamBytes = 4 << 20;     // what is this large would only push the rest out of the cache
constexpr std::size_t kLine = 64;

std::size_t round_down(std::size_t bytes, std::size_t to) { return bytes / to * to; }
std::size_t round_up(std::size_t bytes, std::size_t to) { return (bytes + to - 1) / to * to; }

bool reached(const Word& word, std::uint32_t target) {
  return static_cast<std::int32_t>(word.load(std::memory_order_seq_cst) - target) >= 0;
}

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

Store store_for(std::size_t bytes) { return bytes >= kStreamBytes ? Store::kStream : Store::kCache; }

cpu_set_t own_cores() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  sched_getaffinity(0, sizeof(cores), &cores);
  return cores;
}

std::vector<LocalPeer> meet(LocalOptions& options) {
  const auto size = static_cast<std::int32_t>(options.members.size());
  if (size < 1 || size > kMaxLocalRanks || options.rank < 0 || options.rank >= size)
    fail(ErrorCode::kInvalidArgument, "rank {} of {} on one host: expected 1 to {} workers", options.rank, size,
         kMaxLocalRanks);
  const SegmentHeader& header = options.segment.header();
  Meeting meeting{options.ballot,       options.token,   options.rank, options.members, {},
                  options.segment.fd(), options.timeout, options.stop};
  for (std::int32_t rank = 0; rank < size; ++rank)
    meeting.greetings.push_back({header.sequence.load(), header.channels[rank].sent.load(),
                                 header.channels[rank].received.load(), own_cores()});
  return options.rendezvous.meet(meeting);
}

}  // namespace

std::unique_ptr<Communicator> make_local_communicator(LocalOptions options) {
  return std::make_unique<LocalCommunicator>(options);
}

LocalCommunicator::LocalCommunicator(LocalOptions& options)
    : Communicator(options.rank, static_cast<std::int32_t>(options.members.size())),
      ballot_(options.ballot),
      segment_(options.segment),
      start_sequence_(options.segment.header().sequence.load()),
      rank_tree_(one_leaf_a_rank(size())),
      sleep_mode_(best_sleep_mode()) {
  std::vector<LocalPeer> met = meet(options);
  std::ranges::rotate(met, std::ranges::find_if(met, [this](const LocalPeer& peer) { return peer.rank > rank(); }));
  std::vector<PeerMonitor::Peer> watched;
  cpu_set_t cores = own_cores();
  for (LocalPeer& peer : met) {
    CPU_OR(&cores, &cores, &peer.greeting.cores);
    peers_.push_back({peer.rank, PeerSegment(std::move(peer.segment)), peer.greeting});
    watched.push_back(
        {peer.rank, peer.pid, options.members[static_cast<std::size_t>(peer.rank)].uuid, std::move(peer.socket)});
  }
  spin_ = size() <= CPU_COUNT(&cores);
  if (!watched.empty()) monitor_.emplace(std::move(watched), latch_);
}

// --- waiting ---------------------------------------------------------------------------------------------------------

void LocalCommunicator::fail_lost() const {
  const PeerLost lost = latch_.error();
  throw PeerLost(fmt::format("{} in epoch {}: {}", operation_name(operation_), ballot_.to_string(), lost.what()),
                 lost.peers());
}

// A call that ranks disagree about: nobody can go on, so the others must not wait for this rank.
template <typename... Args>
void LocalCommunicator::refuse(fmt::format_string<Args...> format, Args&&... args) {
  abort();
  fail(ErrorCode::kInvalidArgument, "{}: {}", operation_name(operation_),
       fmt::format(format, std::forward<Args>(args)...));
}

void LocalCommunicator::enter(Operation operation) {
  operation_ = operation;
  if (latch_.tripped()) fail_lost();
}

// A peer that did its part and left is no loss, so the word is looked at before the latch.
void LocalCommunicator::wait_until(const Word& word, std::uint32_t target) {
  if (reached(word, target)) return;
  if (spin_) {
    const auto end = std::chrono::steady_clock::now() + kSpin;
    do {
      for (int i = 0; i < 32; ++i) {
        pause();
        if (reached(word, target)) return;
      }
    } while (!latch_.tripped() && std::chrono::steady_clock::now() < end);
  }
  // The sleeper says so before it looks at the word for the last time; who changes the word looks whether anybody
  // sleeps afterwards. Both are sequentially consistent, so one of them sees the other.
  Word& sleeping = segment_.header().sleeping;
  while (true) {
    sleeping.store(1, std::memory_order_seq_cst);
    const std::uint32_t value = word.load(std::memory_order_seq_cst);
    const bool there = static_cast<std::int32_t>(value - target) >= 0;
    if (there || latch_.tripped()) {
      sleeping.store(0, std::memory_order_relaxed);
      if (there) return;
      fail_lost();
    }
    sleep_while(sleep_mode_, word, value, latch_.word(), 0);
  }
}

void LocalCommunicator::wake(const Peer& peer, const Word& word) {
  if (peer.segment.header().sleeping.load(std::memory_order_seq_cst) != 0) wake_shared(word);
}

void LocalCommunicator::abort() noexcept {
  latch_.trip("this worker aborted");
  if (monitor_) monitor_->tell_abort();
}

// --- rounds ----------------------------------------------------------------------------------------------------------

Announcement& LocalCommunicator::draft(const Call& call) {
  Announcement& announcement = segment_.header().announcements[(start_sequence_ + rounds_ + 1) % 2];
  announcement.operation = static_cast<std::uint32_t>(call.operation);
  announcement.check = call.check;
  announcement.detail = call.detail;
  announcement.pieces = 0;
  announcement.in_arena = false;
  announcement.common = false;
  return announcement;
}

std::span<std::byte> LocalCommunicator::staging_half() {
  const std::span<std::byte> staging = segment_.staging();
  const std::size_t half = round_down(staging.size() / 2, kLine);
  return staging.subspan((start_sequence_ + rounds_ + 1) % 2 * half, half);
}

void LocalCommunicator::announce() {
  ++rounds_;
  Word& sequence = segment_.header().sequence;
  sequence.store(start_sequence_ + rounds_, std::memory_order_seq_cst);
  // One call wakes all who sleep on this word.
  const auto sleeps = [](const Peer& peer) {
    return peer.segment.header().sleeping.load(std::memory_order_seq_cst) != 0;
  };
  if (std::ranges::any_of(peers_, sleeps)) wake_shared(sequence);
}

const Announcement& LocalCommunicator::heard_from(const Peer& peer, const Call& call) {
  const SegmentHeader& header = peer.segment.header();
  wait_until(header.sequence, peer.start.sequence + rounds_);
  const Announcement& announcement = header.announcements[(peer.start.sequence + rounds_) % 2];
  if (announcement.operation != static_cast<std::uint32_t>(call.operation))
    refuse("rank {} is in {} where rank {} is in {}", peer.rank,
           operation_name(static_cast<Operation>(announcement.operation)), rank(), operation_name(call.operation));
  if (announcement.check != call.check || announcement.detail != call.detail)
    refuse("rank {} gives {} bytes (variant {}) where rank {} gives {} (variant {})", peer.rank, announcement.check,
           announcement.detail, rank(), call.check, call.detail);
  return announcement;
}

// After this round everybody has read what was announced before it.
void LocalCommunicator::all_have_read() {
  const Call call{Operation::kAllRead};
  draft(call);
  announce();
  for (const Peer& peer : peers_) heard_from(peer, call);
}

// `send` holds one block for everyone or one for each rank; receive[r] takes rank r's block for this one.
void LocalCommunicator::exchange(const Call& call, std::span<const std::span<const std::byte>> send,
                                 std::span<const std::span<std::byte>> receive) {
  const bool common = send.size() == 1;
  const auto self = static_cast<std::size_t>(rank());
  const std::span<const std::byte> own = send[common ? 0 : self];
  if (own.size() != receive[self].size())
    refuse("rank {} sends {} bytes to itself and expects {}", rank(), own.size(), receive[self].size());
  if (peers_.empty()) {
    if (!own.empty() && own.data() != receive[self].data()) std::memmove(receive[self].data(), own.data(), own.size());
    return;
  }

  bool in_arena = true;
  std::size_t longest = 0;
  for (std::size_t to = 0; to < send.size(); ++to) {
    if (!common && to == self) continue;
    longest = std::max(longest, send[to].size());
    in_arena = in_arena && (send[to].empty() || segment_.in_arena(send[to].data(), send[to].size()));
  }
  in_arena = in_arena && longest > 0;
  // Each destination has its own place in the staging half.
  const std::size_t place = round_down(staging_half().size() / (common ? 1 : peers_.size()), kLine);
  const auto pieces =
      static_cast<std::uint32_t>(in_arena ? 1 : std::max<std::size_t>(1, (longest + place - 1) / place));

  std::uint32_t all_pieces = pieces;
  bool any_in_arena = in_arena;
  for (std::uint32_t piece = 0; piece < all_pieces; ++piece) {
    const Call round = piece == 0 ? call : Call{Operation::kMorePieces};
    Announcement& announcement = draft(round);
    announcement.pieces = pieces;
    announcement.in_arena = in_arena;
    announcement.common = common;
    announcement.place = place;
    const std::span<std::byte> half = staging_half();
    std::size_t used = 0;
    for (std::size_t to = 0; to < send.size(); ++to) {
      if (!common && to == self) continue;
      const std::size_t total = send[to].size();
      Block& block = announcement.blocks[to];
      block.total = total;
      if (in_arena) {
        block.bytes = piece == 0 ? total : 0;
        block.offset = total > 0 ? segment_.offset_of(send[to].data()) : 0;
      } else {
        const std::size_t done = std::min(total, piece * place);
        block.bytes = std::min(place, total - done);
        block.offset = segment_.offset_of(half.data() + used);
        copy(send[to].data() + done, half.data() + used, block.bytes, Store::kCache);
        used += place;
      }
    }
    announce();
    if (piece == 0 && !own.empty() && own.data() != receive[self].data())
      std::memmove(receive[self].data(), own.data(), own.size());

    for (const Peer& peer : peers_) {
      const Announcement& theirs = heard_from(peer, round);
      const Block& block = theirs.blocks[theirs.common ? 0 : self];
      const std::span<std::byte> target = receive[static_cast<std::size_t>(peer.rank)];
      if (block.total != target.size())
        refuse("rank {} sends {} bytes to rank {}, which expects {}", peer.rank, block.total, rank(), target.size());
      all_pieces = std::max(all_pieces, theirs.pieces);
      any_in_arena = any_in_arena || theirs.in_arena;
      if (block.bytes == 0) continue;
      if (block.bytes > target.size() || piece * theirs.place > target.size() - block.bytes)
        refuse("rank {} sends {} bytes at {} to rank {}, which expects {} in all", peer.rank, block.bytes,
               piece * theirs.place, rank(), target.size());
      copy(peer.segment.at(block.offset, block.bytes), target.data() + piece * theirs.place, block.bytes,
           store_for(block.bytes));
    }
  }
  flush_streamed_stores();
  if (any_in_arena) all_have_read();
}

// --- collectives -----------------------------------------------------------------------------------------------------

void LocalCommunicator::all_to_all_v(std::span<const std::span<const std::byte>> send,
                                     std::span<const std::span<std::byte>> receive) {
  enter(Operation::kAllToAll);
  if (send.size() != static_cast<std::size_t>(size()) || receive.size() != send.size())
    refuse("{} blocks to send and {} to receive among {} ranks", send.size(), receive.size(), size());
  exchange({Operation::kAllToAll}, send, receive);
}

void LocalCommunicator::all_gather_v(std::span<const std::byte> send, std::span<const std::span<std::byte>> receive) {
  enter(Operation::kAllGather);
  exchange({Operation::kAllGather}, {&send, 1}, receive);
}

void LocalCommunicator::broadcast(void* data, std::size_t bytes, std::int32_t root) {
  enter(Operation::kBroadcast);
  if (root < 0 || root >= size()) refuse("no rank {} among {}", root, size());
  const std::span<std::byte> buffer(static_cast<std::byte*>(data), bytes);
  const std::span<const std::byte> own = rank() == root ? buffer : std::span<std::byte>();
  std::vector<std::span<std::byte>> receive(static_cast<std::size_t>(size()));
  receive[static_cast<std::size_t>(root)] = buffer;
  exchange({Operation::kBroadcast, bytes, static_cast<std::uint32_t>(root)}, {&own, 1}, receive);
}

void LocalCommunicator::reduce_scatter(ReduceType type, const void* send, void* receive,
                                       std::span<const std::int64_t> counts) {
  enter(Operation::kReduceScatter);
  if (counts.size() != static_cast<std::size_t>(size())) refuse("{} slices among {} ranks", counts.size(), size());
  const ScatteredSum sum(type, send, counts, rank(), incoming_);
  exchange({Operation::kReduceScatter, sum.bytes}, sum.outgoing, sum.arriving);
  sum.sum_into(receive);
}

void LocalCommunicator::all_reduce(ReduceType type, void* data, std::int64_t count) {
  const void* const partial = data;
  tree(Operation::kAllReduce, type, rank_tree_, {&partial, 1}, data, count, 1);
}

void LocalCommunicator::tree_all_reduce(ReduceType type, const TreeLayout& layout,
                                        std::span<const void* const> partials, void* result, std::int64_t count,
                                        std::int64_t granularity) {
  check_tree_layout(layout, partials.size());
  if (!reduction_ || !(reduction_->layout() == layout)) reduction_.emplace(layout);
  tree(Operation::kTreeAllReduce, type, *reduction_, partials, result, count, granularity);
}

void LocalCommunicator::tree(Operation operation, ReduceType type, TreeReduction& reduction,
                             std::span<const void* const> partials, void* result, std::int64_t count,
                             std::int64_t granularity) {
  enter(operation);
  const std::size_t bytes = static_cast<std::size_t>(count) * element_size(type);
  const Call call{operation, bytes, static_cast<std::uint32_t>(type)};
  std::size_t most_partials = 0;
  for (const auto& subtrees : reduction.layout().subtrees) most_partials = std::max(most_partials, subtrees.size());
  if (peers_.empty()) {
    reduction.sum(type, partials, result, count, store_for(bytes));
    flush_streamed_stores();
  } else if (most_partials <= kMaxLocalRanks && bytes < kOneRoundBytes &&
             most_partials * round_up(bytes, kLine) <= staging_half().size()) {
    tree_in_one_round(type, reduction, partials, result, count, call);
  } else if (most_partials > kMaxLocalRanks ||
             !tree_in_arenas(type, reduction, partials, result, count, granularity, call)) {
    Communicator::tree_all_reduce(type, reduction.layout(), partials, result, count, granularity);
  }
}

std::vector<const Announcement*> LocalCommunicator::heard_from_all(const Call& call) {
  std::vector<const Announcement*> announcements(static_cast<std::size_t>(size()));
  announcements[static_cast<std::size_t>(rank())] = &segment_.header().announcements[(start_sequence_ + rounds_) % 2];
  for (const Peer& peer : peers_) announcements[static_cast<std::size_t>(peer.rank)] = &heard_from(peer, call);
  return announcements;
}

std::vector<const void*> LocalCommunicator::operands_of(const TreeReduction& reduction,
                                                        std::span<const Announcement* const> announcements,
                                                        std::size_t skip, std::size_t bytes) const {
  std::vector<const PeerSegment*> segments(announcements.size());
  for (const Peer& peer : peers_) segments[static_cast<std::size_t>(peer.rank)] = &peer.segment;
  std::vector<const void*> operands;
  for (const TreeReduction::Operand& operand : reduction.operands()) {
    const auto owner = static_cast<std::size_t>(operand.rank);
    const std::uint64_t offset = announcements[owner]->blocks[operand.index].offset + skip;
    operands.push_back(operand.rank == rank() ? segment_.at(offset) : segments[owner]->at(offset, bytes));
  }
  return operands;
}

void LocalCommunicator::tree_in_one_round(ReduceType type, TreeReduction& reduction,
                                          std::span<const void* const> partials, void* result, std::int64_t count,
                                          const Call& call) {
  Announcement& announcement = draft(call);
  std::byte* place = staging_half().data();
  for (std::size_t i = 0; i < partials.size(); ++i) {
    copy(partials[i], place, call.check, Store::kCache);
    announcement.blocks[i] = {segment_.offset_of(place), call.check, call.check};
    place += round_up(call.check, kLine);
  }
  announce();
  reduction.sum(type, operands_of(reduction, heard_from_all(call), 0, call.check), result, count, Store::kCache);
}

bool LocalCommunicator::tree_in_arenas(ReduceType type, TreeReduction& reduction, std::span<const void* const> partials,
                                       void* result, std::int64_t count, std::int64_t granularity, const Call& call) {
  Announcement& announcement = draft(call);
  announcement.in_arena = true;
  for (std::size_t i = 0; i < partials.size(); ++i) {
    announcement.in_arena = announcement.in_arena && segment_.in_arena(partials[i], call.check);
    if (!announcement.in_arena) break;
    announcement.blocks[i] = {segment_.offset_of(static_cast<const std::byte*>(partials[i])), call.check, call.check};
  }
  announce();
  const std::vector<const Announcement*> announcements = heard_from_all(call);
  if (!std::ranges::all_of(announcements, [](const Announcement* a) { return a->in_arena; })) return false;

  const std::size_t element = element_size(type);
  std::vector<std::span<std::byte>> slices;
  for (std::int32_t r = 0; r < size(); ++r) {
    const ElementSlice slice = slice_of(count, granularity, r, size());
    slices.emplace_back(static_cast<std::byte*>(result) + static_cast<std::size_t>(slice.begin) * element,
                        static_cast<std::size_t>(slice.count()) * element);
  }
  const std::span<std::byte> own = slices[static_cast<std::size_t>(rank())];
  const auto skip = static_cast<std::size_t>(own.data() - static_cast<std::byte*>(result));
  reduction.sum(type, operands_of(reduction, announcements, skip, own.size()), own.data(),
                static_cast<std::int64_t>(own.size() / element), store_for(own.size()));
  flush_streamed_stores();
  // The exchange announces that this rank has read the partials; when it ends all ranks have.
  const std::span<const std::byte> summed = own;
  exchange({call.operation, call.check, call.detail}, {&summed, 1}, slices);
  return true;
}

// --- point to point --------------------------------------------------------------------------------------------------

LocalCommunicator::Peer& LocalCommunicator::peer_of(std::int32_t rank) {
  const auto peer = std::ranges::find(peers_, rank, &Peer::rank);
  if (peer == peers_.end()) refuse("no peer with rank {} among {}", rank, size());
  return *peer;
}

void LocalCommunicator::send(const void* data, std::size_t bytes, std::int32_t to) {
  enter(Operation::kSend);
  Peer& peer = peer_of(to);
  Channel& channel = segment_.header().channels[to];
  const Word& taken = peer.segment.header().channels[rank()].received;
  const auto* from = static_cast<const std::byte*>(data);
  const bool in_arena = segment_.in_arena(data, bytes);
  // All peers have read what the last round but one left in this half.
  const std::span<std::byte> half = staging_half();
  std::size_t done = 0;
  do {
    const std::size_t piece = in_arena ? bytes : std::min(half.size(), bytes - done);
    if (!in_arena) copy(from + done, half.data(), piece, Store::kCache);
    channel.block = {segment_.offset_of(in_arena ? from : half.data()), piece, bytes};
    channel.sent.fetch_add(1, std::memory_order_seq_cst);
    wake(peer, channel.sent);
    wait_until(taken, peer.start.received + ++peer.pieces_sent);
    done += piece;
  } while (done < bytes);
}

void LocalCommunicator::receive(void* data, std::size_t bytes, std::int32_t from) {
  enter(Operation::kReceive);
  Peer& peer = peer_of(from);
  const Channel& channel = peer.segment.header().channels[rank()];
  Word& taken = segment_.header().channels[from].received;
  std::size_t done = 0;
  do {
    wait_until(channel.sent, peer.start.sent + ++peer.pieces_received);
    const Block block = channel.block;
    if (block.total != bytes || block.bytes > bytes - done)
      refuse("rank {} sends {} bytes where rank {} expects {}", from, block.total, rank(), bytes);
    copy(peer.segment.at(block.offset, block.bytes), static_cast<std::byte*>(data) + done, block.bytes, Store::kCache);
    taken.fetch_add(1, std::memory_order_seq_cst);
    wake(peer, taken);
    done += block.bytes;
  } while (done < bytes);
}

}  // namespace convoy::distributed
