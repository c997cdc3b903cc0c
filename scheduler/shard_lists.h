// How metrics.jsonl says which rank summed which logical shards of a step: "shards": ["0-2", "3,5", ""], a list a rank.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace convoy::scheduler {

// By rank. `shard_ranks`: by shard, the rank that summed it, in [0, world).
std::vector<std::string> shard_lists(std::span<const std::int32_t> shard_ranks, std::int32_t world);

// The shards of "0-2,5", as they stand there. Throws Error(kDataLoss) for what is no such list, and for numbers outside
// [0, shards).
std::vector<std::int32_t> read_shard_list(std::string_view list, std::int32_t shards);

}  // namespace convoy::scheduler
