#include "scheduler/shard_lists.h"

#include <fmt/format.h>

#include <charconv>
#include <cstddef>

#include "core/base/error.h"

namespace convoy::scheduler {
namespace {

// Takes a number off the front of `text`; -1: there is none.
std::int32_t take_number(std::string_view& text) {
  std::int32_t number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return -1;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

bool take(std::string_view& text, char sign) {
  if (!text.starts_with(sign)) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

std::vector<std::string> shard_lists(std::span<const std::int32_t> shard_ranks, std::int32_t world) {
  std::vector<std::string> lists(static_cast<std::size_t>(world));
  for (std::size_t begin = 0; begin < shard_ranks.size();) {
    std::size_t end = begin + 1;
    while (end < shard_ranks.size() && shard_ranks[end] == shard_ranks[begin]) ++end;
    std::string& list = lists.at(static_cast<std::size_t>(shard_ranks[begin]));
    if (!list.empty()) list += ',';
    list += end - begin == 1 ? fmt::format("{}", begin) : fmt::format("{}-{}", begin, end - 1);
    begin = end;
  }
  return lists;
}

std::vector<std::int32_t> read_shard_list(std::string_view list, std::int32_t shards) {
  std::vector<std::int32_t> found;
  for (std::string_view left = list; !left.empty();) {
    const std::int32_t first = take_number(left);
    const std::int32_t last = take(left, '-') ? take_number(left) : first;
    if (first < 0 || last < first || last >= shards || !(left.empty() || (take(left, ',') && !left.empty())))
      fail(ErrorCode::kDataLoss, "\"{}\" is no list of shards like \"0-2,5\", of {}", list, shards);
    for (std::int32_t shard = first; shard <= last; ++shard) found.push_back(shard);
  }
  return found;
}

}  // namespace convoy::scheduler
