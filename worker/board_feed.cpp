#include "worker/board_feed.h"

#include <algorithm>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/base/utf8.h"
#include "worker/continuation.h"
#include "worker/graph_report.h"
#include "worker/histogram.h"

namespace convoy::worker {
namespace {

constexpr std::int64_t kByteTokens = 256;
constexpr std::int64_t kPromptTokens = 64;  // at most, and at most half of what the model sees

// Text as it is, whatever Markdown would make of it.
std::string code_block(const std::string& text) {
  std::string block = "    ";
  for (const char c : text) {
    block += c;
    if (c == '\n') block += "    ";
  }
  return block;
}

}  // namespace

BoardFeed::BoardFeed(const Recipe& recipe, const Dataset& dataset, const Replica& replica, const Batches& batches,
                     std::function<void(cluster::Body)> send)
    : recipe_(recipe), dataset_(dataset), replica_(replica), batches_(batches), send_(std::move(send)) {}

void BoardFeed::recipe(std::int64_t step) const {
  send_(cluster::TextReport{.step = step, .tag = "recipe", .text = code_block(to_toml(recipe_))});
}

void BoardFeed::graphs() const {
  cluster::GraphReport report;
  for (const PlannedFunction& planned : replica_.plans()) add_graph(report, planned.name, planned.captured.graph);
  if (!report.nodes.empty()) send_(std::move(report));
}

void BoardFeed::after_step(std::int64_t step, const float* reduced, double count) const {
  if (recipe_.train.histogram_every == 0 || step % recipe_.train.histogram_every != 0) return;
  const distributed::BucketLayout& layout = replica_.layout();
  for (std::size_t i = 0; i < layout.parameters().size(); ++i) {
    const auto& [name, elements, group, is_gradient] = layout.parameters()[i];
    if (!is_gradient) continue;  // running statistics are not trained
    const auto size = static_cast<std::size_t>(elements);
    histogram(step, "weights/" + name, {replica_.parameter(i).data<float>(), size}, 1.0);
    histogram(step, "gradients/" + name, {reduced + layout.offset(i), size}, 1.0 / count);
  }
}

void BoardFeed::histogram(std::int64_t step, const std::string& tag, std::span<const float> values,
                          double scale) const {
  Histogram histogram = histogram_of(values, static_cast<float>(scale), replica_.device().threads());
  send_(cluster::HistogramReport{.step = step,
                                 .tag = tag,
                                 .min = histogram.min,
                                 .max = histogram.max,
                                 .count = histogram.count,
                                 .sum = histogram.sum,
                                 .sum_squares = histogram.sum_squares,
                                 .limits = std::move(histogram.limits),
                                 .counts = std::move(histogram.counts)});
}

bool BoardFeed::writes_bytes() const {
  return recipe_.data.kind == "text" && dataset_.classes() == kByteTokens && dataset_.tokens_per_sample() > 1;
}

// Kept, since asking for an evaluation's first batch between evaluations drops what was read ahead of the next.
std::span<const std::int32_t> BoardFeed::prompt() {
  if (prompt_.empty()) {
    const Tensor inputs = batches_.evaluation(0).inputs;
    const auto* const tokens = inputs.data<std::int32_t>();
    prompt_.assign(tokens, tokens + std::min(kPromptTokens, dataset_.tokens_per_sample() / 2));
  }
  return prompt_;
}

void BoardFeed::after_evaluation(std::int64_t step) {
  if (recipe_.train.sample_tokens == 0 || !writes_bytes()) return;
  const std::int64_t context = dataset_.tokens_per_sample();
  const std::span<const std::int32_t> tokens = prompt();
  const std::string prompt_bytes(tokens.begin(), tokens.end());
  std::string continuation;
  continue_tokens(replica_.model(), replica_.device(), {tokens.begin(), tokens.end()},
                  {.context = context, .tokens = recipe_.train.sample_tokens, .seed = recipe_.train.seed},
                  [&](std::int32_t token) { continuation += static_cast<char>(token); });
  send_(cluster::TextReport{.step = step,
                            .tag = "samples/held_out",
                            .text = "Held-out text:\n\n" + code_block(printable_utf8(prompt_bytes)) +
                                    "\n\nThe model goes on:\n\n" + code_block(printable_utf8(continuation)) + "\n"});
}

}  // namespace convoy::worker
