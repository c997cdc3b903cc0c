// Counts what this program's code and its libraries ask the allocator and oneDNN for, on all threads.
#pragma once

#include <cstdint>
#include <string>

namespace convoy::testing_support {

struct Counts {
  std::uint64_t own = 0;         // blocks asked for by anybody but oneDNN
  std::uint64_t onednn = 0;      // by oneDNN itself
  std::uint64_t largest = 0;     // bytes of the largest block that oneDNN asked for
  std::uint64_t primitives = 0;  // primitives and their descriptions made
  std::string who;               // asked for the first own block, for messages
};

// Between the two, calls are noted. Under a sanitizer, which brings an allocator of its own, only primitives are.
void start_counting();
Counts stop_counting();

}  // namespace convoy::testing_support
