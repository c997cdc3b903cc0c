#include "cluster/host_list.h"

#include <charconv>
#include <optional>

#include "core/base/error.h"

namespace convoy::cluster {
namespace {

constexpr std::size_t kMostHosts = 1'000'000;
constexpr std::size_t kMostDigits = 64;  // of a number; longer is no host's name

// Splits at commas that stand outside of brackets. Nothing where brackets do not match.
std::optional<std::vector<std::string_view>> split(std::string_view list) {
  std::vector<std::string_view> parts;
  bool inside = false;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (list[i] == '[' || list[i] == ']') {
      if (inside == (list[i] == '[')) return std::nullopt;
      inside = !inside;
    } else if (list[i] == ',' && !inside) {
      parts.push_back(list.substr(begin, i - begin));
      begin = i + 1;
    }
  }
  if (inside) return std::nullopt;
  parts.push_back(list.substr(begin));
  return parts;
}

std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || text.empty() || text[0] == '-') return std::nullopt;
  return number;
}

// "01-03,7" → 01, 02, 03, 7.
std::optional<std::vector<std::string>> expand_range(std::string_view ranges) {
  std::vector<std::string> result;
  while (true) {
    const std::size_t comma = ranges.find(',');
    const std::string_view part = ranges.substr(0, comma);
    const std::size_t dash = part.find('-');
    const std::string_view low = part.substr(0, dash);
    const auto first = whole_number(low);
    const auto last = dash == std::string_view::npos ? first : whole_number(part.substr(dash + 1));
    if (!first || !last || *last < *first || low.size() > kMostDigits) return std::nullopt;
    const auto count = static_cast<std::uint64_t>(*last - *first) + 1;
    if (count > kMostHosts - result.size()) return std::nullopt;
    for (std::uint64_t i = 0; i < count; ++i)
      result.push_back(fmt::format("{:0{}}", static_cast<std::uint64_t>(*first) + i, low.size()));
    if (comma == std::string_view::npos) return result;
    ranges.remove_prefix(comma + 1);
  }
}

// One comma's worth: every combination of its ranges, the first one slowest.
std::optional<std::vector<std::string>> expand_part(std::string_view part) {
  std::vector<std::string> result = {""};
  if (part.empty()) return std::nullopt;
  while (!part.empty()) {
    const std::size_t open = part.find('[');
    for (std::string& host : result) host += part.substr(0, open);
    if (open == std::string_view::npos) return result;
    const std::size_t close = part.find(']', open);
    const auto numbers = expand_range(part.substr(open + 1, close - open - 1));
    if (!numbers || numbers->size() * result.size() > kMostHosts) return std::nullopt;
    std::vector<std::string> longer;
    for (const std::string& host : result)
      for (const std::string& number : *numbers) longer.push_back(host + number);
    result = std::move(longer);
    part.remove_prefix(close + 1);
  }
  return result;
}

}  // namespace

std::vector<std::string> expand_hosts(std::string_view list) {
  std::vector<std::string> hosts;
  const auto parts = split(list);
  for (const std::string_view part : parts.value_or(std::vector<std::string_view>{""})) {
    const auto expanded = expand_part(part);
    if (!expanded || hosts.size() + expanded->size() > kMostHosts)
      fail(ErrorCode::kUsage, "'{}' is not a list of hosts like n[01-03,7],login", list);
    hosts.insert(hosts.end(), expanded->begin(), expanded->end());
  }
  return hosts;
}

std::vector<std::int32_t> expand_counts(std::string_view list) {
  std::vector<std::int32_t> counts;
  const auto refuse = [&] { fail(ErrorCode::kUsage, "'{}' is not a list of numbers like 5,1(x3)", list); };
  const auto parts = split(list);
  if (!parts) refuse();
  for (std::string_view part : *parts) {
    std::optional<std::int64_t> times = 1;
    if (const std::size_t open = part.find("(x"); open != std::string_view::npos && part.ends_with(')')) {
      times = whole_number(part.substr(open + 2, part.size() - open - 3));
      part = part.substr(0, open);
    }
    const auto count = whole_number(part);
    if (!count || !times || *count > INT32_MAX || *times < 1 ||
        counts.size() + static_cast<std::size_t>(*times) > kMostHosts)
      refuse();
    counts.insert(counts.end(), static_cast<std::size_t>(*times), static_cast<std::int32_t>(*count));
  }
  return counts;
}

}  // namespace convoy::cluster
