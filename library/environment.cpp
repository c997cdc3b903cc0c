#include "library/environment.h"

#include <charconv>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "cluster/place.h"
#include "core/base/error.h"
#include "launcher/lifeline.h"
#include "launcher/preparation.h"

namespace convoy::library {

std::optional<std::string> environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value ? std::optional<std::string>(value) : std::nullopt;
}

std::vector<std::string> command_words() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  std::vector<std::string> words = launcher::decode_words(bytes);
  if (!words.empty()) words.erase(words.begin());
  return words;
}

std::optional<int> inherited_number(const char* variable) {
  const auto text = environment(variable);
  if (!text) return std::nullopt;
  int number = -1;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc() || end != text->data() + text->size() || number < 0) {
    fail(ErrorCode::kUsage, "{}='{}' is not a number that a launcher gives", variable, *text);
  }
  return number;
}

void watch_launcher() {
  if (const auto fd = inherited_number(cluster::kLifelineVariable)) launcher::watch_lifeline(*fd);
}

}  // namespace convoy::library
