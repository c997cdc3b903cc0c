// Whether a worker fits the run that it wants to take part in, and what of it does not, in words for whoever started
// it.
#pragma once

#include <optional>
#include <string>

#include "core/base/fingerprint.h"

namespace convoy::cluster {

// A fingerprint says a recipe's keys as entries of their own: "recipe train.seed".
inline constexpr char kRecipeEntry[] = "recipe ";

// What follows "this worker does not fit the run: ", one line: the recipe's keys that differ, each with both values
// ("its recipe has train.seed = 2 (the run: 1)"), or else the first other thing. Nothing where all is equal.
std::optional<std::string> misfit(const Fingerprint& worker, const Fingerprint& run);

}  // namespace convoy::cluster
