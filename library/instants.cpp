#include "library/instants.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <csignal>
#include <memory>
#include <mutex>
#include <optional>
#include <sstream>
#include <thread>
#include <vector>

#include "core/base/error.h"

namespace convoy::library {
namespace {

struct Blow {
  std::string instant;
  std::optional<std::int64_t> step{};  // nothing: any
  int signal = 0;                      // 0: only the wait
  std::chrono::microseconds wait{0};
  bool due = true;
};

[[noreturn]] void refuse(const std::string& word) {
  fail(ErrorCode::kUsage,
       "{}: '{}' is not WHO@INSTANT@STEP=KILL|STOP|TERM|USR1|USR2|SEGV[+MICROSECONDS] or …=WAIT+MICROSECONDS",
       kInstantsVariable, word);
}

int signal_of(std::string_view name, const std::string& word) {
  if (name == "KILL") return SIGKILL;
  if (name == "STOP") return SIGSTOP;
  if (name == "TERM") return SIGTERM;
  if (name == "USR1") return SIGUSR1;
  if (name == "USR2") return SIGUSR2;
  if (name == "SEGV") return SIGSEGV;
  if (name == "WAIT") return 0;
  refuse(word);
}

std::int64_t number_of(std::string_view text, const std::string& word) {
  std::int64_t number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0) refuse(word);
  return number;
}

// The word up to `separator`, taken off `rest`.
std::string_view take_off(std::string_view& rest, char separator, const std::string& word) {
  const std::size_t at = rest.find(separator);
  if (at == std::string_view::npos) refuse(word);
  const std::string_view taken = rest.substr(0, at);
  rest.remove_prefix(at + 1);
  return taken;
}

std::vector<Blow> blows_for(const std::string& who, const std::string& text) {
  std::vector<Blow> blows;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    std::string_view rest = word;
    const bool ours = take_off(rest, '@', word) == who;
    Blow blow{.instant = std::string(take_off(rest, '@', word))};
    const std::string_view step = take_off(rest, '=', word);
    if (step != "*") blow.step = number_of(step, word);
    const std::size_t plus = rest.find('+');
    blow.signal = signal_of(rest.substr(0, plus), word);
    if (plus != std::string_view::npos) blow.wait = std::chrono::microseconds(number_of(rest.substr(plus + 1), word));
    if (blow.signal == 0 && blow.wait.count() == 0) refuse(word);
    if (ours) blows.push_back(std::move(blow));
  }
  return blows;
}

void strike(int signal, std::chrono::microseconds wait) {
  if (signal == 0) return std::this_thread::sleep_for(wait);
  if (wait.count() == 0) {
    kill(getpid(), signal);  // to the whole process: a thread may have blocked it
    return;
  }
  std::thread([signal, wait] {
    std::this_thread::sleep_for(wait);
    kill(getpid(), signal);
  }).detach();
}

}  // namespace

AtInstant instants_of(const std::string& who, const cluster::Environment& environment) {
  const std::optional<std::string> text = environment(kInstantsVariable);
  if (!text) return {};
  struct Blows {
    std::mutex mutex;
    std::vector<Blow> list;
    // The first that is due here, which then is so no more.
    std::optional<Blow> take(std::string_view instant, std::int64_t step) {
      const std::lock_guard lock(mutex);
      const auto found = std::ranges::find_if(list, [&](const Blow& blow) {
        return blow.due && blow.instant == instant && blow.step.value_or(step) == step;
      });
      if (found == list.end()) return std::nullopt;
      found->due = false;
      return *found;
    }
  };
  auto blows = std::make_shared<Blows>();
  blows->list = blows_for(who, *text);
  if (blows->list.empty()) return {};
  return [blows](std::string_view instant, std::int64_t step) {
    while (const std::optional<Blow> blow = blows->take(instant, step)) strike(blow->signal, blow->wait);
  };
}

}  // namespace convoy::library
