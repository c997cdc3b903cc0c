// What a worker may take of its machine's memory, and whether its state fits in: asked before any of it is taken, as
// a process that asks for too much is not told so but killed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace convoy::worker {

// Bytes for each of so many workers on this machine; nothing where it is not known what there is.
std::optional<std::size_t> memory_share(std::int32_t local_workers);

// Arrays of the parameters' size that rank `rank` of `world` keeps of gradients: partial sums and the reduced one.
std::int64_t gradient_arenas(std::int64_t shards, std::int32_t rank, std::int32_t world);

// How much of `most_bytes` the state of `elements` numbers leaves for a step's values; throws Error(kUnavailable), in
// one line, where it does not fit in.
std::size_t room_beside_state(std::int64_t elements, std::size_t moments, std::int64_t gradient_arenas,
                              std::size_t most_bytes);

}  // namespace convoy::worker
