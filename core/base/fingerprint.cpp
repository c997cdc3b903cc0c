#include "core/base/fingerprint.h"

#include <fmt/format.h>

#include <algorithm>

namespace convoy {

std::optional<std::string> Fingerprint::difference(const Fingerprint& other) const {
  const std::size_t count = std::max(entries_.size(), other.entries_.size());
  for (std::size_t i = 0; i < count; ++i) {
    if (i >= other.entries_.size())
      return fmt::format("{}: '{}' here, absent there", entries_[i].first, entries_[i].second);
    if (i >= entries_.size())
      return fmt::format("{}: absent here, '{}' there", other.entries_[i].first, other.entries_[i].second);
    if (entries_[i].first != other.entries_[i].first)
      return fmt::format("'{}' here stands where '{}' stands there", entries_[i].first, other.entries_[i].first);
    if (entries_[i].second != other.entries_[i].second)
      return fmt::format("{}: '{}' here, '{}' there", entries_[i].first, entries_[i].second, other.entries_[i].second);
  }
  return std::nullopt;
}

}  // namespace convoy
