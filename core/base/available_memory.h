// How much memory this process can still get without swapping and without being killed for it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

namespace convoy {

// Bytes: what the kernel calls available, or less where a control group (a job's, a container's) allows less. Nothing
// where neither is known.
std::optional<std::size_t> available_memory();

// The same where the files lie under another root, for tests: `root`/proc/meminfo, `root`/proc/self/cgroup,
// `root`/sys/fs/cgroup.
std::optional<std::size_t> available_memory_under(const std::string& root);

}  // namespace convoy
