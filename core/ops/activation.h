// What a linear layer ends in.
#pragma once

#include <cstdint>

namespace convoy {

enum class Activation : std::uint8_t { kNone, kRelu, kGelu };

}  // namespace convoy
