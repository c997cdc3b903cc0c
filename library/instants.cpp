#include "library/instants.h"

#include <algorithm>
#include <charconv>
#include <csignal>
#include <memory>
#include <mutex>
#include <optional>
#include <sstream>
#include <vector>

#include "core/base/error.h"

namespace convoy::library {
namespace {

struct Blow {
  std::string instant;
  std::int64_t step = 0;
  int signal = SIGKILL;
  bool due = true;
};

[[noreturn]] void refuse(const std::string& word) {
  fail(ErrorCode::kUsage, "{}: '{}' is not WHO@INSTANT@STEP=KILL|STOP|TERM|SEGV", kInstantsVariable, word);
}

int signal_of(std::string_view name, const std::string& word) {
  if (name == "KILL") return SIGKILL;
  if (name == "STOP") return SIGSTOP;
  if (name == "TERM") return SIGTERM;
  if (name == "SEGV") return SIGSEGV;
  refuse(word);
}

std::vector<Blow> blows_for(const std::string& who, const std::string& text) {
  std::vector<Blow> blows;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const std::size_t at = word.find('@');
    const std::size_t second = at == std::string::npos ? at : word.find('@', at + 1);
    const std::size_t equals = second == std::string::npos ? second : word.find('=', second);
    if (equals == std::string::npos) refuse(word);
    Blow blow{.instant = word.substr(at + 1, second - at - 1), .signal = signal_of(word.substr(equals + 1), word)};
    const char* const begin = word.data() + second + 1;
    const char* const end = word.data() + equals;
    if (std::from_chars(begin, end, blow.step).ptr != end || begin == end) refuse(word);
    if (word.substr(0, at) == who) blows.push_back(std::move(blow));
  }
  return blows;
}

}  // namespace

AtInstant instants_of(const std::string& who, const cluster::Environment& environment) {
  const std::optional<std::string> text = environment(kInstantsVariable);
  if (!text) return {};
  auto blows = std::make_shared<std::vector<Blow>>(blows_for(who, *text));
  if (blows->empty()) return {};
  auto mutex = std::make_shared<std::mutex>();
  return [blows, mutex](std::string_view instant, std::int64_t step) {
    const std::lock_guard lock(*mutex);
    for (Blow& blow : *blows) {
      if (!blow.due || blow.instant != instant || blow.step != step) continue;
      blow.due = false;
      raise(blow.signal);
    }
  };
}

}  // namespace convoy::library
