#include "library/run_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "cluster/address.h"
#include "core/base/error.h"
#include "launcher/run_lock.h"
#include "library/run_status.h"
#include "scheduler/http_client.h"
#include "scheduler/http_file.h"
#include "scheduler/recorded_run.h"
#include "scheduler/run_view_json.h"

namespace convoy::library {
namespace {

constexpr std::chrono::seconds kPatience{3};

// "http://10.0.0.7:8080/?token=…", as the scheduler prints it.
RunSource of_url(std::string_view url, const std::string& token) {
  url.remove_prefix(std::string_view("http://").size());
  RunSource source{.directory = "", .address = std::string(url.substr(0, url.find_first_of("/?"))), .token = token};
  constexpr std::string_view kToken = "token=";
  if (const std::size_t at = url.find(kToken); at != std::string_view::npos)
    source.token = url.substr(at + kToken.size(), url.find('&', at) - at - kToken.size());
  return source;
}

scheduler::RunView view_at(const std::string& address, const std::string& token) {
  const scheduler::HttpAnswer answer = scheduler::http_get(address, "/status.json", token, kPatience);
  if (answer.status == 401) {
    if (!token.empty()) fail(ErrorCode::kUnavailable, "{}: the page has another token than the one given", address);
    fail(ErrorCode::kUnavailable, "{}: the page asks for its token: give it in {} or --token-file", address,
         kHttpTokenVariable);
  }
  if (answer.status != 200)
    fail(ErrorCode::kUnavailable, "{}: answers with status {}: expected a run's status page", address, answer.status);
  try {
    return scheduler::view_of_json(answer.body);
  } catch (const Error& error) {
    fail(ErrorCode::kUnavailable, "{}: {}", address, error.what());
  }
}

std::string url_of(const std::string& address, const std::string& token) {
  return fmt::format("http://{}/{}", address, token.empty() ? "" : "?token=" + token);
}

// Where the page of a scheduler on this or another host is reached. Throws Error(kUnavailable).
std::string reachable(const scheduler::HttpPlace& place) {
  const std::string host = place.address.substr(0, place.address.rfind(':'));
  const std::string port = place.address.substr(place.address.rfind(':'));
  const bool here = place.host == cluster::host_name();
  const bool everywhere = host == "0.0.0.0" || host == "[::]";
  if (here) return everywhere ? (host == "[::]" ? "[::1]" : "127.0.0.1") + port : place.address;
  if (everywhere) return place.host + port;
  if (host.starts_with("127.") || host == "[::1]")
    fail(ErrorCode::kUnavailable, "its page is for host {} alone", place.host);
  return place.address;
}

// Whether there is such a process on this host, and not only what its parent has not asked for yet.
bool is_alive(std::int32_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string text;
  if (!std::getline(file, text)) return false;
  const std::size_t name_end = text.rfind(')');  // "17 (convoy) S …"
  return name_end == std::string::npos || text.compare(name_end, 4, ") Z ") != 0;
}

// Whether a process of the run may be there yet: on this host by its number, on others because nobody knows.
bool has_processes(const std::string& directory, const scheduler::RunView& view) {
  if (launcher::run_in_use(directory)) return true;
  const std::string here = cluster::host_name();
  return std::any_of(view.workers.begin(), view.workers.end(),
                     [&](const scheduler::WorkerView& worker) { return worker.host != here || is_alive(worker.pid); });
}

Told ask_directory(const RunSource& source) {
  const auto place = scheduler::HttpFile::read(source.directory);
  const std::string file = scheduler::HttpFile::path_in(source.directory);
  std::error_code ignored;
  std::string why = std::filesystem::exists(file, ignored) ? file + " cannot be read" : "it serves no page";
  if (place) {
    try {
      const std::string address = reachable(*place);
      Told told{.view = view_at(address, place->token), .url = url_of(address, place->token)};
      if (told.view.scheduler == place->scheduler) return told;
      why = fmt::format("{} is another run's page by now", address);
    } catch (const Error& error) {
      why = error.what();
    }
  }
  Told told{.view = scheduler::read_recorded_run(source.directory)};
  if (told.view.state != scheduler::RunState::kAway) return told;
  told.dead = !has_processes(source.directory, told.view);
  told.view.reason = fmt::format("no scheduler answers ({}){}: this is what the records say", why,
                                 told.dead ? ", and none of the run's processes is there any more" : "");
  return told;
}

}  // namespace

RunSource RunSource::parse(const std::string& source, const std::string& token) {
  std::error_code error;
  if (std::filesystem::exists(source, error)) return {.directory = source, .address = "", .token = token};
  if (source.starts_with("http://")) return of_url(source, token);
  if (source.find('/') == std::string::npos && source.find(':') != std::string::npos)
    return {.directory = "", .address = source, .token = token};
  fail(ErrorCode::kUsage, "{}: no such run directory, nor an address (HOST:PORT)", source);
}

Told ask(const RunSource& source) {
  if (!source.directory.empty()) return ask_directory(source);
  return {.view = view_at(source.address, source.token), .url = url_of(source.address, source.token)};
}

}  // namespace convoy::library
