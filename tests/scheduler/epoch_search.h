// Every state that a World can come to, breadth first, with the shortest way to what must not be.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tests/scheduler/epoch_world.h"

namespace convoy::scheduler {

struct Found {
  enum class What : std::uint8_t { kNothing, kWrong, kStuck, kTooLarge };
  What what = What::kNothing;
  std::string why;    // of kWrong
  std::string trace;  // how it comes to that
  std::size_t states = 0;
  std::size_t moves = 0;
};

// Visits at most `limit` states. States are told apart by 64 bits of hash: among a million, two share theirs by a
// chance of one in thirty million.
template <class Rules>
Found search(const Perils& perils, std::size_t limit) {
  struct Node {
    std::uint32_t parent;
    Happening how;
  };
  Found found;
  std::vector<Node> nodes;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> moves;  // from, to
  std::unordered_map<std::uint64_t, std::uint32_t> known;
  std::vector<std::uint32_t> ends;
  const auto trace = [&](std::uint32_t node) {
    std::string text;
    for (; node != 0; node = nodes[node].parent) text = text_of(nodes[node].how) + "\n" + text;
    return text;
  };

  using Layer = std::vector<std::pair<std::uint32_t, World<Rules>>>;
  Layer layer;
  layer.emplace_back(0, World<Rules>(perils));
  nodes.push_back({});
  known.emplace(layer.front().second.digest(), 0);
  while (!layer.empty() && found.what == Found::What::kNothing) {
    Layer next;
    for (const auto& [from, world] : layer) {
      world.step([&](const Happening& how, World<Rules>&& to) {
        if (found.what != Found::What::kNothing) return;
        const auto [it, is_new] = known.emplace(to.digest(), static_cast<std::uint32_t>(nodes.size()));
        moves.emplace_back(from, it->second);
        if (!is_new) return;
        nodes.push_back({.parent = from, .how = how});
        if (!to.wrong().empty()) {
          found.what = Found::What::kWrong;
          found.why = to.wrong();
          found.trace = trace(it->second);
        } else if (nodes.size() > limit) {
          found.what = Found::What::kTooLarge;
        } else if (to.ended_well()) {
          ends.push_back(it->second);
        } else {
          next.emplace_back(it->second, std::move(to));
        }
      });
      if (found.what != Found::What::kNothing) break;
    }
    layer = std::move(next);
  }
  found.states = nodes.size();
  found.moves = moves.size();
  if (found.what != Found::What::kNothing) return found;

  // Backwards from the ends: whoever is not reached has no way to one.
  std::vector<std::uint32_t> first(nodes.size() + 1);
  for (const auto& [from, to] : moves) ++first[to + 1];
  for (std::size_t i = 1; i < first.size(); ++i) first[i] += first[i - 1];
  std::vector<std::uint32_t> sources(moves.size());
  std::vector<std::uint32_t> fill(first.begin(), first.end() - 1);
  for (const auto& [from, to] : moves) sources[fill[to]++] = from;
  std::vector<bool> reaches(nodes.size());
  std::vector<std::uint32_t> work = ends;
  for (const std::uint32_t end : ends) reaches[end] = true;
  while (!work.empty()) {
    const std::uint32_t node = work.back();
    work.pop_back();
    for (std::uint32_t i = first[node]; i < first[node + 1]; ++i) {
      if (reaches[sources[i]]) continue;
      reaches[sources[i]] = true;
      work.push_back(sources[i]);
    }
  }
  for (std::uint32_t node = 0; node < nodes.size(); ++node) {
    if (reaches[node]) continue;
    found.what = Found::What::kStuck;
    found.trace = trace(node);
    break;
  }
  return found;
}

}  // namespace convoy::scheduler
