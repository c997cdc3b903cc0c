// A ballot names one agreed membership of a run. It is in every message and in every communicator's identity, so that
// nothing from an older membership is ever mistaken for the current one (docs/architecture.md).
#pragma once

#include <fmt/format.h>

#include <compare>
#include <cstdint>
#include <string>

namespace convoy {

struct Ballot {
  std::uint64_t term = 0;     // raised by one each time a scheduler starts
  std::uint32_t attempt = 0;  // raised by one each time a membership is proposed within a term

  auto operator<=>(const Ballot&) const = default;
  std::string to_string() const { return fmt::format("{}.{}", term, attempt); }
};

}  // namespace convoy
