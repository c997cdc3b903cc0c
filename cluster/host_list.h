// Slurm's short forms: lists of hosts, and of numbers of tasks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace convoy::cluster {

// "rack[0-1]n[01-03,7],login" → rack0n01, rack0n02, rack0n03, rack0n7, rack1n01, …, login. Zeros in front are kept.
// Throws Error(kUsage) naming the list for what is none, or has more than a million hosts.
std::vector<std::string> expand_hosts(std::string_view list);

// "5,1(x3)" → 5, 1, 1, 1. Throws Error(kUsage) naming the list.
std::vector<std::int32_t> expand_counts(std::string_view list);

}  // namespace convoy::cluster
