#include "scheduler/http_site.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <utility>

#include "scheduler/page.h"
#include "scheduler/run_view_json.h"
#include "scheduler/run_view_metrics.h"

namespace convoy::scheduler {

namespace {

constexpr std::chrono::milliseconds kLongestHold{5000};
constexpr char kText[] = "text/plain; charset=utf-8";

HttpReply reply(unsigned status, std::string type, std::string body) {
  return {.status = status, .type = std::move(type), .body = std::make_shared<const std::string>(std::move(body))};
}

// In a time that does not tell how much of it was right.
bool equal_secrets(std::string_view left, std::string_view right) {
  if (left.size() != right.size()) return false;
  unsigned difference = 0;
  for (std::size_t i = 0; i < left.size(); ++i)
    difference |= static_cast<unsigned>(static_cast<unsigned char>(left[i]) ^ static_cast<unsigned char>(right[i]));
  return difference == 0;
}

struct Target {
  std::string_view path;
  std::string_view query;  // without the question mark
};

Target parts_of(std::string_view target) {
  const std::size_t mark = target.find('?');
  if (mark == std::string_view::npos) return {.path = target, .query = {}};
  return {.path = target.substr(0, mark), .query = target.substr(mark + 1)};
}

// The value of `name` in "a=1&b=2".
std::optional<std::string_view> parameter(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    if (pair.size() > name.size() && pair.starts_with(name) && pair[name.size()] == '=')
      return pair.substr(name.size() + 1);
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
  }
  return std::nullopt;
}

// "127.0.0.1:8000", "localhost", "[::1]:8000".
bool names_this_machine(std::string_view host) {
  if (const std::size_t colon = host.rfind(':'); colon != std::string_view::npos && host.back() != ']')
    host = host.substr(0, colon);
  return host.empty() || host == "localhost" || host == "[::1]" ||
         (host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos);
}

}  // namespace

bool HttpSite::publish(std::shared_ptr<const RunView> view) {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock) return false;
  view_.swap(view);
  return true;
}

std::shared_ptr<const RunView> HttpSite::view() const {
  const std::lock_guard lock(mutex_);
  return view_;
}

// Many may ask for the same view: it is written once.
std::shared_ptr<const std::string> HttpSite::json(const std::shared_ptr<const RunView>& view) {
  const std::lock_guard lock(json_mutex_);
  if (written_ != view) {
    json_ = std::make_shared<const std::string>(to_json(*view));
    written_ = view;
  }
  return json_;
}

unsigned HttpSite::refusal(const HttpAsk& ask) const {
  if (token_.empty()) return names_this_machine(ask.host) ? 0 : 403;
  if (const auto token = parameter(parts_of(ask.target).query, "token"); token && equal_secrets(*token, token_))
    return 0;
  constexpr std::string_view kBearer = "Bearer ";
  const std::string_view given = ask.authorization;
  return given.starts_with(kBearer) && equal_secrets(given.substr(kBearer.size()), token_) ? 0 : 401;
}

std::chrono::milliseconds HttpSite::hold(const HttpAsk& ask) const {
  const auto [path, query] = parts_of(ask.target);
  const auto wanted = parameter(query, "hold");
  if (!wanted || path != "/status.json" || ask.method != "GET" || refusal(ask) != 0) return {};
  std::int64_t time = 0;
  std::from_chars(wanted->data(), wanted->data() + wanted->size(), time);
  return std::clamp(std::chrono::milliseconds(time), std::chrono::milliseconds::zero(), kLongestHold);
}

HttpReply HttpSite::answer(const HttpAsk& ask) {
  const unsigned refused = refusal(ask);
  if (refused == 401)
    return reply(401, kText, "401: this page needs the run's token, as ?token=... or in an Authorization header\n");
  if (refused != 0)
    return reply(403, kText,
                 "403: this page is for this machine alone; start the scheduler with --http ADDRESS:PORT\n");
  if (ask.method != "GET" && ask.method != "HEAD") {
    HttpReply other = reply(405, kText, "405: only GET and HEAD are answered\n");
    other.allow = "GET, HEAD";
    return other;
  }
  const std::string_view path = parts_of(ask.target).path;
  if (path == "/") {
    static const auto page = std::make_shared<const std::string>(kPage);
    return {.status = 200, .type = "text/html; charset=utf-8", .body = page};
  }
  if (path == "/status.json") return {.status = 200, .type = "application/json", .body = json(view())};
  if (path == "/metrics") return reply(200, kMetricsType, to_metrics(*view()));
  if (path == "/healthz") return reply(200, kText, "ok\n");
  return reply(404, kText, "404: there are /, /status.json, /metrics and /healthz\n");
}

}  // namespace convoy::scheduler
