#include "scheduler/reachable.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace convoy::scheduler {

namespace {

constexpr std::size_t kExact = 20;

using Links = std::vector<std::vector<bool>>;

class Search {
 public:
  Search(const Links& broken, const std::vector<std::size_t>& torn, const std::vector<bool>& needed, bool need)
      : broken_(broken), torn_(torn), needed_(needed), need_(need) {}

  // Of the workers with broken links, those that stay.
  std::vector<std::size_t> best() {
    extend(0);
    return best_;
  }

 private:
  // Workers with low UUIDs are taken first, so that the first of several equally large sets is the right one.
  void extend(std::size_t next) {
    if (chosen_.size() + (torn_.size() - next) <= best_.size() && found_) return;
    if (next == torn_.size()) {
      const auto is_needed = [&](std::size_t worker) { return needed_[worker]; };
      if (need_ && std::none_of(chosen_.begin(), chosen_.end(), is_needed)) return;
      best_ = chosen_;
      found_ = true;
      return;
    }
    const std::size_t worker = torn_[next];
    const auto cut_off = [&](std::size_t other) { return broken_[worker][other]; };
    if (std::none_of(chosen_.begin(), chosen_.end(), cut_off)) {
      chosen_.push_back(worker);
      extend(next + 1);
      chosen_.pop_back();
    }
    extend(next + 1);
  }

  const Links& broken_;
  const std::vector<std::size_t>& torn_;
  const std::vector<bool>& needed_;
  const bool need_;
  bool found_ = false;
  std::vector<std::size_t> chosen_;
  std::vector<std::size_t> best_;
};

std::size_t links_of(const Links& broken, std::size_t worker, const std::vector<std::size_t>& staying) {
  return static_cast<std::size_t>(
      std::count_if(staying.begin(), staying.end(), [&](std::size_t other) { return broken[worker][other]; }));
}

// Lets the worker with the most broken links go (of several, the one with the highest UUID), until none is left.
std::vector<std::size_t> greedy(const Links& broken, std::vector<std::size_t> staying) {
  for (;;) {
    std::size_t most = 0;
    auto leaves = staying.end();
    for (auto it = staying.begin(); it != staying.end(); ++it) {
      const std::size_t links = links_of(broken, *it, staying);
      if (links < most || links == 0) continue;
      most = links;
      leaves = it;
    }
    if (leaves == staying.end()) return staying;
    staying.erase(leaves);
  }
}

// The same with one of those that are needed: the one with the fewest broken links, if it comes to that.
std::vector<std::size_t> greedy_with_needed(const Links& broken, const std::vector<std::size_t>& torn,
                                            const std::vector<bool>& needed) {
  std::vector<std::size_t> staying = greedy(broken, torn);
  if (std::any_of(staying.begin(), staying.end(), [&](std::size_t worker) { return needed[worker]; })) return staying;
  std::size_t chosen = broken.size();
  for (const std::size_t worker : torn) {
    if (!needed[worker]) continue;
    if (chosen == broken.size() || links_of(broken, worker, torn) < links_of(broken, chosen, torn)) chosen = worker;
  }
  staying = torn;
  std::erase_if(staying, [&](std::size_t worker) { return broken[chosen][worker]; });
  return greedy(broken, std::move(staying));
}

}  // namespace

std::vector<std::size_t> largest_mutually_reachable(std::size_t count,
                                                    std::span<const std::pair<std::size_t, std::size_t>> broken,
                                                    const std::vector<bool>& needed) {
  Links links(count, std::vector<bool>(count));
  std::vector<bool> is_torn(count);
  for (const auto& [a, b] : broken) {
    if (a == b) continue;
    links[a][b] = links[b][a] = true;
    is_torn[a] = is_torn[b] = true;
  }
  std::vector<std::size_t> torn;
  std::vector<std::size_t> staying;
  bool need = std::find(needed.begin(), needed.end(), true) != needed.end();
  for (std::size_t worker = 0; worker < count; ++worker) {
    (is_torn[worker] ? torn : staying).push_back(worker);
    if (!is_torn[worker] && needed[worker]) need = false;
  }
  const std::vector<std::size_t> kept = torn.size() <= kExact ? Search(links, torn, needed, need).best()
                                        : need                ? greedy_with_needed(links, torn, needed)
                                                              : greedy(links, torn);
  staying.insert(staying.end(), kept.begin(), kept.end());
  std::sort(staying.begin(), staying.end());
  return staying;
}

}  // namespace convoy::scheduler
