// Numbers for people: three digits and a decimal prefix, "12.3 MB", "1.20 Gflop/s".
#pragma once

#include <string>
#include <string_view>

namespace convoy {

std::string with_prefix(double value, std::string_view unit);

// NaN without the sign that it may carry, which means nothing to people; other values as they are.
double unsigned_nan(double value);

}  // namespace convoy
