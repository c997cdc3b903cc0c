#include "core/ops/random.h"

#include "core/ops/per_type.h"
#include "core/ops/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/random.cpp"
// clang-format off
#include "hwy/foreach_target.h"  // must come first
#include "core/ops/vector-inl.h"
// clang-format on

#ifndef CONVOY_CORE_OPS_RANDOM_ARGUMENTS
#define CONVOY_CORE_OPS_RANDOM_ARGUMENTS
namespace convoy {
namespace {

constexpr std::int64_t kDropoutChunk = 1024;

template <typename T>
struct DropoutPiece {
  PhiloxKey key;
  std::uint64_t first_block;
  std::uint32_t threshold;  // a word below it drops its element
  Compute<T> factor;
  const T* x;
  T* y;
  std::int64_t n;
};

}  // namespace
}  // namespace convoy
#endif

HWY_BEFORE_NAMESPACE();
namespace convoy {
namespace HWY_NAMESPACE {
namespace {

#if HWY_TARGET != HWY_SCALAR
// One counter a 64-bit lane: each of its four words in the lower half of a lane of its own vector.
using Words = Lanes<std::uint64_t>;

// The words of the blocks that `counter` numbers.
HWY_INLINE void philox_vector(PhiloxKey key, hn::Vec<Words> counter, std::uint32_t* words) {
  const Words d;
  const hn::Repartition<std::uint32_t, Words> halves;
  const auto product = [&](hn::Vec<Words> a, std::uint32_t b) HWY_ATTR {
    return hn::MulEven(hn::BitCast(halves, a), hn::BitCast(halves, hn::Set(d, std::uint64_t{b})));
  };
  const auto low = hn::Set(d, std::uint64_t{0xFFFFFFFF});
  auto word0 = hn::And(counter, low);
  auto word1 = hn::ShiftRight<32>(counter);
  auto word2 = hn::Zero(d);
  auto word3 = hn::Zero(d);
  // Upper halves are left dirty between rounds: products read lower halves only.
  for (int round = 0; round < 10; ++round) {
    const auto left = product(word0, 0xD2511F53);
    const auto right = product(word2, 0xCD9E8D57);
    word0 = hn::Xor(hn::Xor(hn::ShiftRight<32>(right), word1), hn::Set(d, std::uint64_t{key[0]}));
    word1 = right;
    word2 = hn::Xor(hn::Xor(hn::ShiftRight<32>(left), word3), hn::Set(d, std::uint64_t{key[1]}));
    word3 = left;
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  const auto front = hn::Or(hn::And(word0, low), hn::ShiftLeft<32>(word1));
  const auto back = hn::Or(hn::And(word2, low), hn::ShiftLeft<32>(word3));
  hn::StoreInterleaved2(front, back, d, reinterpret_cast<std::uint64_t*>(words));
}
#endif

void words_of(PhiloxKey key, std::uint64_t first, std::int64_t blocks, std::uint32_t* words) {
  std::int64_t i = 0;
#if HWY_TARGET != HWY_SCALAR
  constexpr std::int64_t kLanes = lanes<std::uint64_t>();
  const auto step = hn::Set(Words(), static_cast<std::uint64_t>(kLanes));
  for (auto counter = hn::Iota(Words(), first); i + kLanes <= blocks; i += kLanes, counter = hn::Add(counter, step))
    philox_vector(key, counter, words + 4 * i);
#endif
  for (; i < blocks; ++i) {
    const std::uint64_t counter = first + static_cast<std::uint64_t>(i);
    const auto four =
        philox({static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32), 0, 0}, key);
    std::copy(four.begin(), four.end(), words + 4 * i);
  }
}

// One random word a lane of T.
HWY_INLINE hn::Vec<Lanes<std::uint32_t>> words_for(Lanes<float>, const std::uint32_t* words) {
  return hn::LoadU(Lanes<std::uint32_t>(), words);
}
HWY_INLINE hn::Vec<Lanes<std::uint64_t>> words_for(Lanes<double>, const std::uint32_t* words) {
  return hn::PromoteTo(Lanes<std::uint64_t>(), hn::LoadU(hn::Rebind<std::uint32_t, Lanes<std::uint64_t>>(), words));
}

template <typename T>
void drop(const DropoutPiece<T>& a) {
  const Lanes<T> d;
  const hn::RebindToUnsigned<Lanes<T>> du;
  const auto threshold = hn::Set(du, a.threshold);
  const auto factor = hn::Set(d, a.factor);
  alignas(64) std::uint32_t words[kDropoutChunk] = {};
  for (std::int64_t begin = 0; begin < a.n; begin += kDropoutChunk) {
    const std::int64_t count = std::min(kDropoutChunk, a.n - begin);
    words_of(a.key, a.first_block + static_cast<std::uint64_t>(begin / 4), (count + 3) / 4, words);
    for_vectors<T>(count, [&](auto access, std::int64_t i) HWY_ATTR {
      const auto dropped = hn::RebindMask(d, hn::Lt(words_for(d, words + i), threshold));
      access.store(hn::IfThenZeroElse(dropped, hn::Mul(access.load(a.x + begin + i), factor)), a.y + begin + i);
    });
  }
}

CONVOY_FOR_EACH_TYPE(drop, DropoutPiece);

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace convoy
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <cmath>

#include "core/graph/apply.h"
#include "core/graph/recorder.h"
#include "core/graph/registry.h"
#include "core/ops/kernel.h"

namespace convoy {
namespace {

HWY_EXPORT(words_of);

CONVOY_RUN_KERNEL(drop, DropoutPiece);

// Linear in x for a given mask: the backward pass is the same op, with the same ordinal, applied to the gradient.
class Dropout final : public Op {
 public:
  Dropout(double p, std::int64_t ordinal) : p_(p), ordinal_(ordinal) {}
  std::string_view name() const override { return "dropout"; }
  Traits traits() const override {
    return {
        .elementwise = true, .tiled = true, .random = true, .gradient_reads_inputs = 0, .gradient_reads_outputs = 0};
  }
  void attributes(AttributeVisitor& visitor) const override {
    visitor.visit("p", p_);
    visitor.visit("ordinal", ordinal_);
  }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 1);
    check_floating(name(), in);
    return {in[0]};
  }
  Tensors vjp(const VjpArgs& args) const override {
    return {apply_one(std::make_shared<Dropout>(p_, ordinal_), {args.gradients[0]})};
  }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return with_floating(args.outputs[0].dtype(), [&]<typename T>(T) {
      return prepared(
          [whole = piece(args.inputs[0].data<T>(), args.outputs[0].data<T>(), 0, args.outputs[0].elements()),
           ordinal = ordinal_, threads = threads_of(args)](const StepKey& step) {
            const PhiloxKey key = key_of(step, ordinal);
            parallel_for(threads, (whole.n + kDropoutChunk - 1) / kDropoutChunk, kGrain / kDropoutChunk,
                         [&](std::int64_t begin, std::int64_t end) {
                           const std::int64_t first = begin * kDropoutChunk;
                           DropoutPiece<T> part = whole;
                           part.key = key;
                           part.first_block = static_cast<std::uint64_t>(first / 4);
                           part.x += first;
                           part.y += first;
                           part.n = std::min(whole.n, end * kDropoutChunk) - first;
                           run(part);
                         });
          });
    });
  }
  void run_tile_cpu(const TileArgs& args) const override {
    with_floating(args.dtype, [&](auto zero) {
      using T = decltype(zero);
      const auto* x = static_cast<const T*>(args.inputs[0].data);
      auto* y = static_cast<T*>(args.output);
      if (args.inputs[0].step == 0) x = std::fill_n(y, args.count, *x) - args.count;
      DropoutPiece<T> own = piece(x, y, args.first, args.count);
      own.key = key_of(args.key, ordinal_);
      run(own);
    });
  }

 private:
  static PhiloxKey key_of(const StepKey& step, std::int64_t ordinal) {
    return mix(step.seed, step.step, step.shard, ordinal);
  }
  // All but the key.
  template <typename T>
  DropoutPiece<T> piece(const T* x, T* y, std::int64_t first, std::int64_t n) const {
    return {.key = {},
            .first_block = static_cast<std::uint64_t>(first / 4),
            .threshold = static_cast<std::uint32_t>(p_ * 0x1p32),
            .factor = static_cast<Compute<T>>(1.0 / (1.0 - p_)),
            .x = x,
            .y = y,
            .n = n};
  }

  double p_;
  std::int64_t ordinal_;
};

const RegisterOp kRegistered[] = {RegisterOp("dropout")};

}  // namespace

void philox_words(PhiloxKey key, std::uint64_t first, std::int64_t blocks, std::uint32_t* words) {
  HWY_DYNAMIC_DISPATCH(words_of)(key, first, blocks, words);
}

Tensor dropout(const Tensor& x, double p) {
  if (!(p >= 0.0 && p < 1.0))
    fail(ErrorCode::kInvalidArgument, "dropout: probability {}; expected at least 0 and below 1", p);
  if (p == 0.0) return x;
  return apply_one(std::make_shared<Dropout>(p, Recorder::current().next_random_ordinal()), {x});
}

}  // namespace convoy
#endif
