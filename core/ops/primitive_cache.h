// Primitives are dear to create, so a device keeps those that were used last. Prepared calls share what they use, so
// nothing that is let go here is made again for them.
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <utility>

namespace convoy {

// The `most` values used last, by key (equal keys, equal values). Few enough to look through: each look is a
// comparison of some integers, and what is used often stands in front.
template <typename Key, typename Value>
class PrimitiveCache {
 public:
  explicit PrimitiveCache(std::size_t most = 256) : most_(most) {}

  // make() returns a Value.
  template <typename Make>
  std::shared_ptr<Value> find(const Key& key, const Make& make) {
    for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
      if (!(entry->first == key)) continue;
      entries_.splice(entries_.begin(), entries_, entry);
      return entries_.front().second;
    }
    entries_.emplace_front(key, std::make_shared<Value>(make()));
    if (entries_.size() > most_) entries_.pop_back();
    return entries_.front().second;
  }

  std::size_t size() const { return entries_.size(); }

 private:
  std::size_t most_;
  std::list<std::pair<Key, std::shared_ptr<Value>>> entries_;  // used last first
};

}  // namespace convoy
