#include "distributed/tcp/tcp_tree.h"

#include <algorithm>

namespace convoy::distributed {
namespace {

constexpr std::size_t kOneRoundBytes = 64 << 10;      // below it every rank sums everything: one round instead of two
constexpr std::size_t kOneRoundIncoming = 512 << 10;  // unless that lets too much come in
constexpr std::size_t kPieceBytes = 128 << 10;
constexpr std::size_t kAhead = 2;   // pieces that are sent before the first one that is summed
constexpr std::size_t kPlaces = 4;  // pieces of an operand that can have come in and not be summed
constexpr std::int64_t kLineElements = 16;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

}  // namespace

void TcpTree::begin(const Sum& sum) {
  sum_ = sum;
  element_ = element_size(sum.type);
  summed_ = 0;
  const std::size_t operands = sum.reduction->operands().size();
  const std::size_t foreign = operands - sum.partials.size();
  const std::size_t whole = static_cast<std::size_t>(sum.count) * element_;
  everywhere_ = whole < kOneRoundBytes && whole * operands <= kOneRoundIncoming;

  std::int64_t longest = 0;
  for (std::int32_t rank = 0; rank < sum.size; ++rank) longest = std::max(longest, slice(rank).count());
  const auto most = static_cast<std::int64_t>(kPieceBytes / element_);
  pieces_ = everywhere_ ? 1 : static_cast<std::size_t>(std::max<std::int64_t>(1, ceil_div(longest, most)));
  piece_elements_ = ceil_div(ceil_div(longest, static_cast<std::int64_t>(pieces_)), kLineElements) * kLineElements;

  marks_.resize(static_cast<std::size_t>(sum.size));
  first_of_.assign(static_cast<std::size_t>(sum.size), 0);
  for (std::int32_t rank = 1; rank < sum.size; ++rank)
    first_of_[rank_index(rank)] = first_of_[rank_index(rank - 1)] + subtrees(rank - 1);
  positions_.resize(operands);
  operands_.resize(operands);
  std::size_t position = 0;
  std::size_t foreign_position = 0;
  for (const TreeReduction::Operand& operand : sum.reduction->operands()) {
    const std::size_t at = first_of_[rank_index(operand.rank)] + static_cast<std::size_t>(operand.index);
    positions_[at] = operand.rank == sum.rank ? position : foreign_position++;
    ++position;
  }

  const std::size_t needed =
      foreign * std::min(kPlaces, pieces_) * static_cast<std::size_t>(piece_elements_) * element_;
  if (needed > scratch_bytes_) {
    scratch_ = std::make_unique_for_overwrite<std::byte[]>(needed);
    scratch_bytes_ = needed;
  }
}

ElementSlice TcpTree::slice(std::int32_t rank) const {
  return everywhere_ ? ElementSlice{0, sum_.count} : slice_of(sum_.count, sum_.granularity, rank, sum_.size);
}

ElementSlice TcpTree::piece(std::int32_t rank, std::size_t index) const {
  const ElementSlice whole = slice(rank);
  const auto cut = [&](std::size_t i) {
    return std::min(whole.end, whole.begin + static_cast<std::int64_t>(i) * piece_elements_);
  };
  return {cut(index), cut(index + 1)};
}

std::size_t TcpTree::bytes(const ElementSlice& elements) const {
  return static_cast<std::size_t>(elements.count()) * element_;
}

std::size_t TcpTree::bytes_to(std::int32_t rank) const {
  return sum_.partials.size() * bytes(slice(rank)) + (everywhere_ ? 0 : bytes(slice(sum_.rank)));
}

std::size_t TcpTree::bytes_from(std::int32_t rank) const {
  return subtrees(rank) * bytes(slice(sum_.rank)) + (everywhere_ ? 0 : bytes(slice(rank)));
}

std::byte* TcpTree::place(std::size_t operand, std::size_t piece) {
  const std::size_t places = std::min(kPlaces, pieces_);
  return scratch_.get() + (operand * places + piece % places) * static_cast<std::size_t>(piece_elements_) * element_;
}

std::byte* TcpTree::result_at(const ElementSlice& elements) const {
  return static_cast<std::byte*>(sum_.result) + static_cast<std::size_t>(elements.begin) * element_;
}

void TcpTree::lay_out(TcpLane& lane) {
  Marks& marks = marks_[rank_index(lane.rank)];
  marks.sum_ready.clear();
  marks.place_free.clear();
  marks.summed.clear();
  for (std::size_t step = 0; step < pieces_ + kAhead; ++step) {
    if (step < pieces_) {
      const ElementSlice theirs = piece(lane.rank, step);
      for (const void* const partial : sum_.partials)
        lane.out.add(static_cast<const std::byte*>(partial) + static_cast<std::size_t>(theirs.begin) * element_,
                     bytes(theirs));
      marks.place_free.push_back(lane.in.parts());
      for (std::size_t i = 0; i < subtrees(lane.rank); ++i)
        lane.in.add(place(positions_[first_of_[rank_index(lane.rank)] + i], step), bytes(piece(sum_.rank, step)));
      marks.sum_ready.push_back(lane.in.parts());
    }
    if (step < kAhead || everywhere_) continue;
    const ElementSlice own = piece(sum_.rank, step - kAhead);
    marks.summed.push_back(lane.out.parts());
    lane.out.add(result_at(own), bytes(own));
    const ElementSlice theirs = piece(lane.rank, step - kAhead);
    lane.in.add(result_at(theirs), bytes(theirs));
  }
  if (everywhere_) return;
  lane.out.hold_after(marks.summed[0]);
  if (pieces_ > kPlaces) lane.in.hold_after(marks.place_free[kPlaces]);
}

bool TcpTree::advance(std::span<TcpLane> lanes) {
  if (everywhere_) return false;
  const std::size_t before = summed_;
  const auto ready = [this](const TcpLane& lane) {
    return lane.in.moved() >= marks_[rank_index(lane.rank)].sum_ready[summed_];
  };
  while (summed_ < pieces_ && std::ranges::all_of(lanes, ready)) {
    sum_piece(summed_++);
    for (TcpLane& lane : lanes) {
      const Marks& marks = marks_[rank_index(lane.rank)];
      lane.out.hold_after(summed_ < pieces_ ? marks.summed[summed_] : lane.out.parts());
      const std::size_t next = summed_ + kPlaces;
      lane.in.hold_after(next < pieces_ ? marks.place_free[next] : lane.in.parts());
    }
  }
  return summed_ > before;
}

// Where every rank sums everything, the result may lie where it was sent from: nothing is written before all is sent.
void TcpTree::finish() {
  if (everywhere_) sum_piece(0);
}

void TcpTree::sum_piece(std::size_t index) {
  const ElementSlice own = piece(sum_.rank, index);
  std::size_t next = 0;
  for (const TreeReduction::Operand& operand : sum_.reduction->operands()) {
    const auto i = static_cast<std::size_t>(operand.index);
    operands_[next++] = operand.rank == sum_.rank ? static_cast<const std::byte*>(sum_.partials[i]) +
                                                        static_cast<std::size_t>(own.begin) * element_
                                                  : place(positions_[first_of_[rank_index(operand.rank)] + i], index);
  }
  sum_.reduction->sum(sum_.type, operands_, result_at(own), own.count(), Store::kCache);
}

}  // namespace convoy::distributed
