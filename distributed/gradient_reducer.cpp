#include "distributed/gradient_reducer.h"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "core/base/error.h"
#include "distributed/pages.h"
#include "distributed/sum_kernel.h"

namespace convoy::distributed {
namespace {

constexpr std::int64_t kPiece = 4096;  // elements: the partial sum of a piece stays in the first-level cache

}  // namespace

// No set of leaves has more maximal nodes than every other leaf; an assignment has at most most_nodes(), to which come
// the partial sums of the node that is being completed.
std::int32_t most_gradient_arenas(std::int32_t shards) {
  const auto levels = static_cast<std::int32_t>(std::bit_width(static_cast<std::uint32_t>(shards - 1)));
  return std::min((shards + 1) / 2, most_nodes(shards) + levels) + 1;
}

GradientReducer::GradientReducer(const BucketLayout& layout, std::int32_t shards)
    : layout_(layout),
      shards_(shards),
      slots_(most_gradient_arenas(shards)),
      committed_(static_cast<std::size_t>(slots_)),
      contributions_(static_cast<std::size_t>(shards)),
      sums_(shards, slots_),
      scalars_(static_cast<std::size_t>(slots_)),
      given_(static_cast<std::size_t>(slots_), LeafSet(shards)),
      adding_to_(shards) {}

std::size_t GradientReducer::slot_bytes() const { return static_cast<std::size_t>(layout_.elements()) * sizeof(float); }

std::size_t GradientReducer::arena_bytes() const { return static_cast<std::size_t>(slots_) * slot_bytes(); }

void GradientReducer::use_arena(std::span<std::byte> arena, Commit commit) {
  if (arena.size() < arena_bytes())
    fail(ErrorCode::kInternal, "the gradient arena has {} bytes, {} are needed", arena.size(), arena_bytes());
  arena_ = reinterpret_cast<float*>(arena.data());
  commit_ = std::move(commit);
}

float* GradientReducer::slot(std::int32_t index) const { return arena_ + index * layout_.elements(); }

void GradientReducer::commit(std::int32_t slot) {
  const auto index = static_cast<std::size_t>(slot);
  used_ = std::max(used_, slot + 1);
  if (committed_[index]) return;
  if (commit_) commit_(index * slot_bytes(), slot_bytes());
  committed_[index] = true;
}

// What only a step that was redone has needed. Peers have read what they need of the steps before this one.
void GradientReducer::give_back_idle() {
  if (!commit_) return;
  for (std::int32_t index = used_; index < slots_; ++index) {
    if (!committed_[static_cast<std::size_t>(index)]) continue;
    const std::span<float> sums(slot(index), static_cast<std::size_t>(layout_.elements()));
    committed_[static_cast<std::size_t>(index)] = !give_back(std::as_writable_bytes(sums));
  }
}

void GradientReducer::begin_step(std::int64_t step, const Assignment& assignment, std::int32_t rank) {
  if (assignment.layout.leaves != shards_ || rank < 0 || rank >= assignment.world())
    fail(ErrorCode::kInvalidArgument, "an assignment of {} shards to {} ranks for rank {}: expected {} shards",
         assignment.layout.leaves, assignment.world(), rank, shards_);
  if (step != step_ || in_leaf_) forget();
  in_leaf_ = false;
  if (step != step_) {
    if (reduced_step() == step_) give_back_idle();
    used_ = 0;
  }
  step_ = step;
  rank_ = rank;
  if (!(assignment == assignment_)) {
    assignment_ = assignment;
    code_ = ContributionCode(shards_, assignment.world());
  }
  sums_.keep(own_nodes());
  const bool alone = assignment_.world() == 1;
  if (!alone) commit(0);
  move(sums_.use_slot_zero(alone ? PartialSums::SlotZero::kOfTheWhole : PartialSums::SlotZero::kReserved));
  find_missing();
}

// When what was summed alone is to be reduced with others, or the other way round.
void GradientReducer::move(const PartialSums::Move& move) {
  if (!move.needed()) return;
  try {
    commit(move.to);
  } catch (...) {
    forget();
    throw;
  }
  if (move.to == 0) withdraw_reduced();
  copy(slot(move.from), slot(move.to), slot_bytes(), Store::kStream);
  flush_streamed_stores();
  scalars_[static_cast<std::size_t>(move.to)] = scalars_[static_cast<std::size_t>(move.from)];
  given_[static_cast<std::size_t>(move.to)] = given_[static_cast<std::size_t>(move.from)];
}

std::span<const Subtree> GradientReducer::own_nodes() const {
  return assignment_.layout.subtrees[static_cast<std::size_t>(rank_)];
}

void GradientReducer::find_missing() {
  missing_.clear();
  done_ = 0;
  const std::span<const PartialSums::Node> held = sums_.nodes();
  std::size_t at = 0;
  for (const Subtree& node : own_nodes()) {
    for (std::int32_t leaf = node.begin; leaf < node.end; ++leaf) {
      while (at < held.size() && held[at].leaves.end <= leaf) ++at;
      if (at == held.size() || held[at].leaves.begin > leaf) missing_.push_back(leaf);
    }
  }
}

LeafSet GradientReducer::held(std::int64_t step) const {
  LeafSet held(shards_);
  if (step != step_ || in_leaf_) return held;
  for (const PartialSums::Node& node : sums_.nodes()) held.insert(node.leaves);
  return held;
}

void GradientReducer::begin_leaf(std::int32_t leaf) {
  if (in_leaf_) fail(ErrorCode::kInternal, "shard {} is begun amid another", leaf);
  const std::span<const std::int32_t> left = missing();
  if (std::ranges::find(left, leaf) == left.end())
    fail(ErrorCode::kInternal, "shard {} of step {} is not one that is missing here", leaf, step_);
  sums_.plan(leaf, leaf_);
  commit(leaf_.store);
  if (leaf_.store == 0) withdraw_reduced();
  in_leaf_ = true;
  adding_ = leaf;
}

void GradientReducer::add(std::size_t parameter, std::span<const float> gradient) {
  const std::int64_t offset = layout_.offset(parameter);
  const auto elements = static_cast<std::int64_t>(gradient.size());
  const float* source = gradient.data();
  float* target = slot(leaf_.store) + offset;
  if (leaf_.merges.empty()) {
    if (source != target) copy(source, target, gradient.size_bytes(), Store::kCache);
    return;
  }
  // One pass over memory however many partial sums the shard completes.
  std::array<float, kPiece> partial;
  for (std::int64_t begin = 0; begin < elements; begin += kPiece) {
    const auto count = static_cast<std::size_t>(std::min(kPiece, elements - begin));
    const float* sum = source + begin;
    for (std::size_t i = 0; i < leaf_.merges.size(); ++i) {
      const PartialSums::Merge& merge = leaf_.merges[i];
      const float* held = slot(merge.slot) + offset + begin;
      float* out = i + 1 == leaf_.merges.size() ? target + begin : partial.data();
      distributed::add(merge.held_is_left ? held : sum, merge.held_is_left ? sum : held, out, count, Store::kCache);
      sum = out;
    }
  }
}

float* GradientReducer::leaf_memory() const { return in_leaf_ && leaf_.merges.empty() ? slot(leaf_.store) : nullptr; }

void GradientReducer::end_leaf(const LossSums& sums) {
  if (!in_leaf_) fail(ErrorCode::kInternal, "a shard is ended that was not begun");
  Scalars sum{sums.loss, sums.count, sums.stops};
  adding_to_.clear();
  adding_to_.insert(adding_);
  for (const PartialSums::Merge& merge : leaf_.merges) {
    const Scalars& held = scalars_[static_cast<std::size_t>(merge.slot)];
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] = merge.held_is_left ? held[i] + sum[i] : sum[i] + held[i];
    const LeafSet& given = given_[static_cast<std::size_t>(merge.slot)];
    if (adding_to_.overlaps(given)) {
      drop();
      fail(ErrorCode::kInternal, "step {}: a shard was added twice, with shard {} on rank {}", step_, adding_, rank_);
    }
    adding_to_.insert(given);
  }
  scalars_[static_cast<std::size_t>(leaf_.store)] = sum;
  std::swap(given_[static_cast<std::size_t>(leaf_.store)], adding_to_);
  sums_.add(leaf_);
  in_leaf_ = false;
  if (missing().front() == adding_)
    ++done_;
  else
    std::erase(missing_, adding_);
}

// So that what lies in a slot from before is not taken for a part of this step's sum.
void GradientReducer::forget() {
  sums_.clear();
  for (LeafSet& given : given_) given.clear();
}

void GradientReducer::drop() {
  forget();
  in_leaf_ = false;
  if (assignment_.world() > 0) find_missing();
}

// What the table says of the partial sums against what was added to them.
void GradientReducer::check_given() const {
  for (const PartialSums::Node& node : sums_.nodes()) {
    if (given_[static_cast<std::size_t>(node.slot)].is(node.leaves)) continue;
    fail(ErrorCode::kInternal, "step {}: what rank {} holds as the sum over shards {} to {} is the sum over others",
         step_, rank_, node.leaves.begin, node.leaves.end - 1);
  }
}

// From here on whoever serves it to others finds that it is gone, before a byte of it is: that this is stored is seen
// before whatever is stored afterwards, past the cache too.
void GradientReducer::withdraw_reduced() { reduced_step_.store(-1, std::memory_order_seq_cst); }

// A row for each partial sum: its scalars, and what it is made of.
void GradientReducer::lay_out_scalars() {
  const std::span<const PartialSums::Node> nodes = sums_.nodes();
  const std::size_t width = Scalars{}.size() + code_.width();
  rows_.resize(nodes.size() * width);
  total_.resize(width);
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const auto slot = static_cast<std::size_t>(nodes[i].slot);
    const std::span<double> row = std::span(rows_).subspan(i * width, width);
    std::ranges::copy(scalars_[slot], row.begin());
    code_.encode(given_[slot], rank_, row.subspan(Scalars{}.size()));
  }
}

LossSums GradientReducer::reduce(Communicator& communicator, const std::function<void()>& after_bucket) {
  if (in_leaf_ || assignment_.world() == 0 || !missing().empty())
    fail(ErrorCode::kInternal, "step {} is reduced while {} shards are missing on rank {}", step_, missing().size(),
         rank_);
  check_given();
  lay_out_scalars();
  std::vector<const void*> partials;
  for (std::size_t i = 0; i < sums_.nodes().size(); ++i) partials.push_back(rows_.data() + i * total_.size());
  const auto width = static_cast<std::int64_t>(total_.size());
  communicator.tree_all_reduce(ReduceType::kF64, assignment_.layout, partials, total_.data(), width, width);

  // All ranks have come here, so they have applied the step before.
  withdraw_reduced();
  code_.decode(std::span(total_).subspan(Scalars{}.size()), step_, contributions_);
  reduced_sums_ = {.loss = total_[0], .count = total_[1], .stops = total_[2]};
  if (assignment_.world() > 1) {
    given_[0].clear();
    for (const Bucket& bucket : layout_.buckets()) {
      for (std::size_t i = 0; i < partials.size(); ++i) partials[i] = slot(sums_.nodes()[i].slot) + bucket.begin;
      communicator.tree_all_reduce(ReduceType::kF32, assignment_.layout, partials, reduced_data() + bucket.begin,
                                   bucket.elements(), kChunkElements);
      if (after_bucket) after_bucket();
    }
  }
  reduced_step_.store(step_, std::memory_order_release);
  return reduced_sums_;
}

GradientReducer::Place GradientReducer::place_to_take_over() {
  if (in_leaf_) drop();
  move(sums_.use_slot_zero(PartialSums::SlotZero::kReserved));
  commit(0);
  withdraw_reduced();
  given_[0].clear();
  return {.gradient = {reduced_data(), static_cast<std::size_t>(layout_.elements())},
          .sums = std::span<LossSums, 1>(&reduced_sums_, 1),
          .contributions = contributions_};
}

void GradientReducer::taken_over(std::int64_t step) { reduced_step_.store(step, std::memory_order_release); }

double squared_norm(const BucketLayout& layout, std::span<const double> chunk_squares) {
  std::vector<double> parameters;
  parameters.reserve(layout.parameters().size());
  std::vector<double> chunks;
  for (const std::size_t parameter : layout.by_name()) {
    if (!layout.parameters()[parameter].is_gradient) continue;
    const auto first = static_cast<std::size_t>(layout.offset(parameter) / kChunkElements);
    const std::int64_t elements = layout.parameters()[parameter].elements;
    const auto count = static_cast<std::size_t>((elements + kChunkElements - 1) / kChunkElements);
    const auto begin = chunk_squares.begin() + static_cast<std::ptrdiff_t>(first);
    chunks.assign(begin, begin + static_cast<std::ptrdiff_t>(count));
    parameters.push_back(tree_sum(chunks));
  }
  return tree_sum(parameters);
}

}  // namespace convoy::distributed
