// Random graphs: whatever passes and memory plan do, a run has the bits of the unoptimised graph's interpretation.
#include "tests/core/graph/random_graph.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <map>
#include <random>
#include <set>
#include <string>
#include <string_view>
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

PassList every_pass() {
  PassList list;
  for (const Pass& pass : all_passes()) list.add(pass.name);
  return list;
}

// All passes at once, none, each alone, and some drawn at random.
std::vector<PassList> pass_lists(std::uint64_t seed) {
  std::vector<PassList> lists = {every_pass(), PassList::defaults(), PassList::none()};
  for (const Pass& pass : all_passes()) {
    lists.push_back(PassList::none());
    lists.back().add(pass.name);
  }
  std::mt19937_64 random(seed);
  for (int i = 0; i < 2; ++i) {
    lists.push_back(PassList::none());
    for (const Pass& pass : all_passes()) {
      if (random() % 2 == 0) lists.back().add(pass.name);
    }
  }
  return lists;
}

// How many operators a node stands for.
std::int64_t operators_in(const Node& node) {
  if (!node.op->name().starts_with("fused_")) return 1;
  const std::string steps = describe(*node.op);
  std::int64_t count = node.op->name() == "fused_reduction" ? 1 : 0;
  for (std::size_t at = steps.find(" = "); at != std::string::npos; at = steps.find(" = ", at + 1)) ++count;
  return count;
}

std::map<Phase, std::int64_t> operators_by_phase(const Graph& graph) {
  std::map<Phase, std::int64_t> counts;
  for (const Node& node : graph.nodes()) counts[node.phase] += operators_in(node);
  return counts;
}

std::set<std::string> kinds(const Graph& graph) {
  std::set<std::string> kinds;
  for (const Node& node : graph.nodes()) kinds.insert(fmt::format("{} {}", name_of(node.phase), describe(*node.op)));
  return kinds;
}

// What bits do not show: work that goes from one phase to another.
std::string wrong_phases(const Pass& pass, const Graph& before, const Graph& after) {
  auto expected = operators_by_phase(before), actual = operators_by_phase(after);
  const bool again = pass.name == kRecompute || pass.name == "rematerialize";
  if (again) actual[Phase::kRecompute] = expected[Phase::kRecompute];
  if ((again || pass.name == "fusion") && actual != expected) return "operators of other phases than before";
  if (pass.name == "common-subexpressions" && kinds(before) != kinds(after)) return "merges across phases";
  return "";
}

// What is wrong with the seed's graph of so many steps, if anything, under which passes.
std::string wrong(std::uint64_t seed, int steps) {
  CpuDevice device(seed % 4 == 0 ? 2 : 1);
  const RandomGraph random = random_graph(device, seed, steps);
  const Tensors before = copies_of(random.states);
  const std::vector<Bits> expected = outcome(interpret(random.graph, random.key, random.inputs, before), before);
  std::set<std::string> seen;
  for (const PassList& passes : pass_lists(seed)) {
    const std::string where = "passes " + passes.to_string();
    try {
      std::string phases;
      const Graph graph = optimise(random.graph, passes, [&](const Pass& pass, const Graph& from, const Graph& to) {
        if (phases.empty()) phases = wrong_phases(pass, from, to);
      });
      if (!phases.empty()) return where + ": " + phases;
      const bool in_place = passes.contains(kInPlace);
      if (!seen.insert(fingerprint(graph) + (in_place ? "!" : "")).second) continue;  // other passes came to the same
      const Tensors states = copies_of(random.states);
      const auto interpreted = outcome(interpret(graph, random.key, random.inputs, states), states);
      std::string text = difference(expected, interpreted);
      if (!text.empty()) return where + ", a wrong graph: " + text;
      // Looking for a plan is most of the work: what one pass alone makes is not planned.
      const std::string names = passes.to_string();
      if (names.find(',') == std::string::npos && names != "none" && !in_place) continue;
      text = wrong_in_plan(random, graph, {.in_place = in_place, .poison = true}, expected);
      if (!text.empty()) return where + ", a wrong plan: " + text;
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

int steps_of(std::uint64_t seed) { return 4 + static_cast<int>(seed % 37); }

// scripts/random-graphs.sh runs more of them.
TEST(RandomGraphTest, EveryPassSubsetHasTheBitsOfTheInterpreter) {
  const std::uint64_t first = number("CONVOY_RANDOM_GRAPHS_FROM", 1);
  const std::uint64_t count = number("CONVOY_RANDOM_GRAPHS", 1000);
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    if (!wrong(seed, steps_of(seed)).empty()) FAIL() << report(seed, steps_of(seed));
  }
}

constexpr std::uint64_t kSample = 200;  // of these graphs

// A pass without work is a pass that is not tested: each has some in many graphs, alone and behind the others.
TEST(RandomGraphTest, EveryPassHasWork) {
  std::map<std::string_view, int> alone, behind_others;
  for (std::uint64_t seed = 1; seed <= kSample; ++seed) {
    CpuDevice device;
    const RandomGraph random = random_graph(device, seed, steps_of(seed));
    const Graph& graph = random.graph;
    for (const Pass& pass : all_passes()) {
      if (pass.run != nullptr) alone[pass.name] += fingerprint(pass.run(graph)) == fingerprint(graph) ? 0 : 1;
    }
    // Recomputation leaves little to those behind it: both ways count.
    std::set<std::string_view> at_work;
    const auto observe = [&](const Pass& pass, const Graph& from, const Graph& to) {
      if (fingerprint(from) != fingerprint(to)) at_work.insert(pass.name);
    };
    optimise(graph, PassList::defaults(), observe);
    const Graph after = optimise(graph, every_pass(), observe);
    const auto buffers = [&](bool in_place) {
      return Plan(after, random.states, {.in_place = in_place}).buffers().size();
    };
    if (buffers(true) < buffers(false)) at_work.insert(kInPlace);
    for (const std::string_view name : at_work) ++behind_others[name];
  }
  for (const Pass& pass : all_passes()) {
    RecordProperty(std::string(pass.name), behind_others[pass.name]);
    if (pass.run != nullptr) {
      EXPECT_GE(alone[pass.name], kSample / 4) << pass.name << " alone";
    }
    EXPECT_GE(behind_others[pass.name], kSample / 8) << pass.name << " behind the others";
  }
}

// A wrong number shows in results that are numbers, and not all the same one.
TEST(RandomGraphTest, ResultsTellRightFromWrong) {
  std::size_t results = 0, telling = 0;
  for (std::uint64_t seed = 1; seed <= kSample; ++seed) {
    CpuDevice device;
    const RandomGraph random = random_graph(device, seed, steps_of(seed));
    const Tensors states = copies_of(random.states);
    for (const Bits& bits : outcome(interpret(random.graph, random.key, random.inputs, states), {})) {
      const std::set<std::uint64_t> numbers(bits.begin(), bits.end());
      const auto not_numbers = std::count(bits.begin(), bits.end(), ~std::uint64_t{0});
      ++results;
      telling += (numbers.size() > 1 || bits.size() == 1) && 2 * not_numbers < std::ssize(bits) ? 1 : 0;
    }
  }
  EXPECT_GE(telling, results * 3 / 4);
}

}  // namespace
}  // namespace convoy
