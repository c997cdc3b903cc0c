#include "core/ops/attention.h"
#include "tests/core/ops/op_table.h"

namespace convoy {
namespace {

OpRun attend(const AttentionAttributes& attributes = {}) {
  return [=](std::span<const Tensor> in) { return Tensors{attention(in[0], in[1], in[2], attributes)}; };
}

OpRun attend_backward(const AttentionAttributes& attributes = {}) {
  return [=](std::span<const Tensor> in) {
    return attention_backward(in[0], in[1], in[2], in[3], in[4], in[5], attributes);
  };
}

OpRun attend_self(const PackedHeads& heads, const AttentionAttributes& attributes = {}) {
  return [=](std::span<const Tensor> in) { return Tensors{self_attention(in[0], heads, attributes)}; };
}

OpRun attend_self_backward(const PackedHeads& heads, const AttentionAttributes& attributes = {}) {
  return [=](std::span<const Tensor> in) {
    return Tensors{self_attention_backward(in[0], in[1], in[2], in[3], heads, attributes)};
  };
}

std::vector<OpInput> three(const Shape& shape) { return {real(shape), real(shape), real(shape)}; }

OpCase large(OpCase op_case) {
  op_case.numerical = false;
  op_case.tolerance = 5e-5;
  return op_case;
}

const AttentionAttributes kAllKeys{.causal = false, .scale = 0};
const AttentionAttributes kSharp{.causal = true, .scale = 2.5};

}  // namespace

std::vector<OpRow> attention_rows() {
  std::vector<OpRow> rows = {
      {"attention",
       {{"causal", three({2, 5, 2, 3}), attend(), {{2, 5, 2, 3}}, {0, 1, 2}},
        {"all keys", three({2, 5, 2, 3}), attend(kAllKeys), {{2, 5, 2, 3}}, {0, 1, 2}},
        {"scaled", three({1, 6, 1, 4}), attend(kSharp), {{1, 6, 1, 4}}, {0, 1, 2}},
        {"grouped", {real({2, 5, 4, 3}), real({2, 5, 2, 3}), real({2, 5, 2, 3})}, attend(), {{2, 5, 4, 3}}, {0, 1, 2}},
        {"one key head, all keys",
         {real({1, 4, 3, 2}), real({1, 4, 1, 2}), real({1, 4, 1, 2})},
         attend(kAllKeys),
         {{1, 4, 3, 2}},
         {0, 1, 2}},
        {"extents of 1", three({1, 1, 1, 1}), attend(), {{1, 1, 1, 1}}, {0, 1, 2}},
        {"no time", three({2, 0, 2, 3}), attend(), {{2, 0, 2, 3}}, {0, 1, 2}},
        {"no sequences", three({0, 5, 2, 3}), attend(), {{0, 5, 2, 3}}, {0, 1, 2}},
        large({"several strips, grouped",
               {real({1, 270, 4, 12}), real({1, 270, 2, 12}), real({1, 270, 2, 12})},
               attend(),
               {{1, 270, 4, 12}},
               {0, 1, 2}}),
        large({"several blocks", three({2, 150, 3, 24}), attend(), {{2, 150, 3, 24}}, {0, 1, 2}}),
        large({"several blocks, all keys", three({1, 131, 2, 40}), attend(kAllKeys), {{1, 131, 2, 40}}, {0, 1, 2}})},
       {{"other rank", three({2, 5, 6}), attend()},
        {"keys of another shape", {real({2, 5, 2, 3}), real({2, 4, 2, 3}), real({2, 5, 2, 3})}, attend()},
        {"heads that no groups divide", {real({2, 5, 3, 3}), real({2, 5, 2, 3}), real({2, 5, 2, 3})}, attend()},
        {"no key heads", {real({2, 5, 2, 3}), real({2, 5, 0, 3}), real({2, 5, 0, 3})}, attend()},
        {"integers", {3, integers({2, 5, 2, 3}, 0, 9)}, attend()}}},
      {"attention_backward",
       {{"causal",
         {real({2, 5, 2, 3}), real({2, 5, 2, 3}), real({2, 5, 2, 3}), real({2, 5, 2, 3}), master({2, 2, 5}),
          real({2, 5, 2, 3})},
         attend_backward(),
         {{2, 5, 2, 3}, {2, 5, 2, 3}, {2, 5, 2, 3}},
         {}}},
       {{"log-sums of another shape",
         {real({2, 5, 2, 3}), real({2, 5, 2, 3}), real({2, 5, 2, 3}), real({2, 5, 2, 3}), real({2, 5, 2}),
          real({2, 5, 2, 3})},
         attend_backward()},
        {"a result of another shape",
         {real({2, 5, 2, 3}), real({2, 5, 2, 3}), real({2, 5, 2, 3}), real({2, 5, 6}), real({2, 2, 5}),
          real({2, 5, 2, 3})},
         attend_backward()}}},
      {"self_attention",
       {{"causal", {real({2, 5, 18})}, attend_self(2), {{2, 5, 6}}, {0}},
        {"one head, all keys", {real({2, 5, 12})}, attend_self(1, kAllKeys), {{2, 5, 4}}, {0}},
        {"grouped", {real({2, 5, 24})}, attend_self({4, 2}), {{2, 5, 12}}, {0}},
        {"extents of 1", {real({1, 1, 3})}, attend_self(1, kSharp), {{1, 1, 1}}, {0}},
        {"no time", {real({2, 0, 12})}, attend_self(2), {{2, 0, 4}}, {0}},
        {"no sequences", {real({0, 3, 12})}, attend_self(2), {{0, 3, 4}}, {0}},
        large({"several blocks", {real({2, 150, 144})}, attend_self(2), {{2, 150, 48}}, {0}})},
       {{"heads that do not divide", {real({2, 5, 18})}, attend_self(4)},
        {"no heads", {real({2, 5, 18})}, attend_self(0)},
        {"heads that no groups divide", {real({2, 5, 14})}, attend_self({3, 2})},
        {"other rank", {real({2, 5, 2, 9})}, attend_self(1)}}},
      {"self_attention_backward",
       {{"causal",
         {real({2, 5, 18}), real({2, 5, 6}), master({2, 2, 5}), real({2, 5, 6})},
         attend_self_backward(2),
         {{2, 5, 18}},
         {}}},
       {{"a result of another width",
         {real({2, 5, 18}), real({2, 5, 18}), real({2, 2, 5}), real({2, 5, 6})},
         attend_self_backward(2)},
        {"log-sums of other heads",
         {real({2, 5, 18}), real({2, 5, 6}), real({2, 3, 5}), real({2, 5, 6})},
         attend_self_backward(2)}}},
  };
  for (OpRow& row : rows) row.takes_bf16 = true;
  return rows;
}

}  // namespace convoy
