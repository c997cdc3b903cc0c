// Random graphs: whatever passes and memory plan do, a run has the bits of the unoptimised graph's interpretation.
#include "tests/core/graph/random_graph.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "core/graph/interpreter.h"
#include "core/graph/passes/pass.h"
#include "core/graph/plan.h"

namespace convoy {
namespace {

using Bits = std::vector<std::uint64_t>;

template <typename T, typename Word>
void append_bits(const Tensor& tensor, Bits& bits) {
  for (const T& element : tensor.to_vector<T>()) {
    // Which NaN it is, is nobody's promise.
    const bool is_nan = std::isnan(static_cast<Compute<T>>(element));
    bits.push_back(is_nan ? ~std::uint64_t{0} : std::uint64_t{std::bit_cast<Word>(element)});
  }
}

Bits bits_of(const Tensor& tensor) {
  Bits bits;
  if (tensor.dtype() == DType::kF32) append_bits<float, std::uint32_t>(tensor, bits);
  if (tensor.dtype() == DType::kF64) append_bits<double, std::uint64_t>(tensor, bits);
  if (tensor.dtype() == DType::kBF16) append_bits<bfloat16, std::uint16_t>(tensor, bits);
  return bits;
}

Tensors copies_of(const Tensors& tensors) {
  Tensors copies;
  for (const Tensor& tensor : tensors) {
    copies.push_back(Tensor::empty(tensor.spec()));
    copies.back().make_state();
    copy_elements(tensor, copies.back());
  }
  return copies;
}

// Of all results, and of the states behind them.
std::vector<Bits> outcome(const Tensors& results, const Tensors& states) {
  std::vector<Bits> bits;
  for (const Tensor& result : results) bits.push_back(bits_of(result));
  for (const Tensor& state : states) bits.push_back(bits_of(state));
  return bits;
}

std::string difference(const std::vector<Bits>& expected, const std::vector<Bits>& actual) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    for (std::size_t k = 0; k < expected[i].size(); ++k) {
      if (i >= actual.size() || actual[i].size() != expected[i].size()) return "other results";
      if (actual[i][k] != expected[i][k])
        return fmt::format("result or state {}, element {}: {:x}, expected {:x}", i, k, actual[i][k], expected[i][k]);
    }
  }
  return "";
}

// What a plan of the graph gets wrong, if anything.
std::string wrong_in_plan(const RandomGraph& random, const Graph& graph, const PlanOptions& options,
                          const std::vector<Bits>& expected) {
  const Tensors states = copies_of(random.states);
  Plan plan(graph, states, options);
  if (const std::string overlap = find_overlap(plan.buffers(), plan.memory()); !overlap.empty()) return overlap;
  std::vector<Bits> actual(graph.results().size());
  plan.run(random.key, random.inputs, [&](std::size_t i, const Tensor& value) { actual[i] = bits_of(value); });
  for (const Tensor& state : states) actual.push_back(bits_of(state));
  return difference(expected, actual);
}

std::vector<PassList> pass_lists(std::uint64_t seed) {
  std::vector<PassList> lists = {PassList::none(), PassList::defaults(), parse_passes("all,recompute")};
  for (const Pass& pass : all_passes()) {
    if (pass.run == nullptr) continue;
    lists.push_back(PassList::none());
    lists.back().add(pass.name);
  }
  std::mt19937_64 random(seed);
  for (int i = 0; i < 3; ++i) {
    lists.push_back(PassList::none());
    for (const Pass& pass : all_passes()) {
      if (random() % 2 == 0) lists.back().add(pass.name);
    }
  }
  return lists;
}

// What is wrong with the seed's graph of so many steps, if anything, under which passes.
std::string wrong(std::uint64_t seed, int steps) {
  CpuDevice device(seed % 4 == 0 ? 2 : 1);
  const RandomGraph random = random_graph(device, seed, steps);
  const Tensors before = copies_of(random.states);
  const std::vector<Bits> expected = outcome(interpret(random.graph, random.key, random.inputs, before), before);
  for (const PassList& passes : pass_lists(seed)) {
    const std::string where = "passes " + passes.to_string();
    try {
      const Graph graph = optimise(random.graph, passes);
      const Tensors states = copies_of(random.states);
      const Tensors results = interpret(graph, random.key, random.inputs, states);
      if (const std::string text = difference(expected, outcome(results, states)); !text.empty())
        return where + ", interpreted: " + text;
      for (const bool in_place : {true, false}) {
        const std::string text = wrong_in_plan(random, graph, {.in_place = in_place, .poison = true}, expected);
        if (!text.empty()) return where + (in_place ? ", in place: " : ", not in place: ") + text;
      }
    } catch (const std::exception& error) {
      return where + ": " + error.what();
    }
  }
  return "";
}

// The shortest beginning of the seed's program that is wrong too.
std::string report(std::uint64_t seed, int steps) {
  for (int fewer = 1; fewer <= steps; ++fewer) {
    const std::string text = wrong(seed, fewer);
    if (text.empty()) continue;
    CpuDevice device;
    return fmt::format("seed {}, {} steps, {}\n{}", seed, fewer, text,
                       to_text(random_graph(device, seed, fewer).graph));
  }
  return "";
}

std::uint64_t number(const char* variable, std::uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// scripts/random-graphs.sh runs more of them.
TEST(RandomGraphTest, EveryPassSubsetHasTheBitsOfTheInterpreter) {
  const std::uint64_t first = number("CONVOY_RANDOM_GRAPHS_FROM", 1);
  const std::uint64_t count = number("CONVOY_RANDOM_GRAPHS", 1000);
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const int steps = 4 + static_cast<int>(seed % 37);
    if (!wrong(seed, steps).empty()) FAIL() << report(seed, steps);
  }
}

// The graphs are worth the trouble: each pass finds something to do in many.
TEST(RandomGraphTest, EveryPassHasWork) {
  for (const Pass& pass : all_passes()) {
    if (pass.run == nullptr) continue;
    int changed = 0;
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
      CpuDevice device;
      const Graph graph = random_graph(device, seed, 30).graph;
      changed += fingerprint(pass.run(graph)) == fingerprint(graph) ? 0 : 1;
    }
    EXPECT_GE(changed, 20) << pass.name;
  }
}

}  // namespace
}  // namespace convoy
