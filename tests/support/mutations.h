// Valid inputs of a parser, damaged at random: what a torn file, a flipped bit, another build or an enemy would make of
// them. A parser must take them or refuse them in its own words; sanitizers see the rest.
//
// A few thousand a test, from the same seed, are quick enough for every run; scripts/fuzz.sh asks for more of others.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace convoy::testing_support {

class Mutations {
 public:
  explicit Mutations(std::vector<std::string> valid)
      : valid_(std::move(valid)), random_(static_cast<std::uint64_t>(number("CONVOY_FUZZ_SEED", 1))) {}

  // How many a test is to try: `usual`, or so many times more.
  static std::int64_t rounds(std::int64_t usual) { return usual * number("CONVOY_FUZZ_TIMES", 1); }

  std::string next() {
    std::string text = any_valid();
    for (std::uint64_t count = 1 + below(4); count > 0; --count) damage(text);
    return text;
  }

 private:
  static std::int64_t number(const char* variable, std::int64_t otherwise) {
    const char* const text = std::getenv(variable);
    return text == nullptr ? otherwise : std::max<std::int64_t>(1, std::atoll(text));
  }

  std::uint64_t below(std::uint64_t limit) { return limit == 0 ? 0 : random_() % limit; }
  const std::string& any_valid() { return valid_[below(valid_.size())]; }

  void damage(std::string& text) {
    const std::size_t at = below(text.size() + 1);
    const std::size_t few = 1 + below(std::min<std::uint64_t>(text.size() + 1, 40));
    switch (below(9)) {
      case 0:
        if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
        return;
      case 1:
        if (at < text.size()) text[at] = static_cast<char>(random_());
        return;
      case 2:
        return void(text.erase(at, few));
      case 3:
        return void(text.insert(at, text.substr(below(text.size() + 1), few)));
      case 4:
        return text.resize(at);
      case 5: {  // the rest of another one
        const std::string& other = any_valid();
        text.replace(at, std::string::npos, other, std::min<std::size_t>(at, other.size()), std::string::npos);
        return;
      }
      case 6: {  // a number where bytes are numbers
        static constexpr std::array<std::uint64_t, 8> kNumbers = {
            0, 1, ~0ULL, 1ULL << 63, (1ULL << 63) - 1, 0x7fffffff, 0x80000000, 0xffffffff};
        const std::uint64_t value = kNumbers[below(kNumbers.size())];
        const std::size_t bytes = std::min<std::size_t>(below(2) == 0 ? 4 : 8, text.size() - at);
        std::memcpy(text.data() + at, &value, bytes);
        return;
      }
      case 7: {  // a number where digits are
        static constexpr std::array<std::string_view, 12> kTexts = {"-1",
                                                                    "0",
                                                                    "2147483648",
                                                                    "9223372036854775807",
                                                                    "9223372036854775808",
                                                                    "18446744073709551616",
                                                                    "1e999",
                                                                    "-1e-999",
                                                                    "null",
                                                                    "[]",
                                                                    "{}",
                                                                    "\"\""};
        const std::size_t digits = text.find_first_of("0123456789", at);
        if (digits == std::string::npos) return;
        const std::size_t end = text.find_first_not_of("0123456789", digits);
        text.replace(digits, std::min(end, text.size()) - digits, kTexts[below(kTexts.size())]);
        return;
      }
      default: {
        static constexpr std::string_view kMarks = "\0\n\r\t \"'\\/{}[](),:;=@+-*.%&?#x\x7f\x80\xff";
        return void(text.insert(at, below(3) == 0 ? few : 1, kMarks[below(kMarks.size())]));
      }
    }
  }

  const std::vector<std::string> valid_;
  std::mt19937_64 random_;
};

}  // namespace convoy::testing_support
