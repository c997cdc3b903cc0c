#include "core/base/available_memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string_view>

namespace convoy {
namespace {

constexpr auto kWholeLine = std::numeric_limits<std::streamsize>::max();

std::optional<std::size_t> of_the_machine(const std::string& root) {
  std::ifstream file(root + "/proc/meminfo");
  std::string name;
  std::size_t kibibytes = 0;
  while (file >> name >> kibibytes) {
    if (name == "MemAvailable:") return kibibytes << 10;
    file.ignore(kWholeLine, '\n');
  }
  return std::nullopt;
}

// Nothing where the file is not there or says "max".
std::optional<std::size_t> number_in(const std::string& path) {
  std::ifstream file(path);
  std::size_t number = 0;
  return file >> number ? std::optional(number) : std::nullopt;
}

// What the kernel takes back before it kills.
std::size_t reclaimable(const std::string& group) {
  std::ifstream file(group + "/memory.stat");
  std::string name;
  std::size_t number = 0;
  while (file >> name >> number) {
    if (name == "inactive_file") return number;
  }
  return 0;
}

// The path of this process's group in the unified hierarchy: the line "0::/path".
std::string group_of_this_process(const std::string& root) {
  std::ifstream file(root + "/proc/self/cgroup");
  constexpr std::string_view kUnified = "0::";
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(kUnified)) return line.substr(kUnified.size());
  }
  return "/";
}

std::optional<std::size_t> of_the_control_groups(const std::string& root) {
  const std::string mount = root + "/sys/fs/cgroup";
  std::optional<std::size_t> least;
  for (std::string path = group_of_this_process(root);;) {
    const std::string group = mount + path;
    const std::optional<std::size_t> limit = number_in(group + "/memory.max");
    const std::optional<std::size_t> current = number_in(group + "/memory.current");
    if (limit && current) {
      const std::size_t used = *current - std::min(*current, reclaimable(group));
      const std::size_t left = *limit - std::min(*limit, used);
      least = std::min(least.value_or(left), left);
    }
    const std::size_t slash = path.rfind('/');
    if (path.size() <= 1 || slash == std::string::npos) return least;
    path.resize(slash);
  }
}

}  // namespace

std::optional<std::size_t> available_memory_under(const std::string& root) {
  const std::optional<std::size_t> machine = of_the_machine(root);
  const std::optional<std::size_t> groups = of_the_control_groups(root);
  if (machine && groups) return std::min(*machine, *groups);
  return machine ? machine : groups;
}

std::optional<std::size_t> available_memory() { return available_memory_under(""); }

}  // namespace convoy
