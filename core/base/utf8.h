// Bytes made fit to be shown as text.
#pragma once

#include <string>
#include <string_view>

namespace convoy {

// `bytes` as UTF-8 that can be shown: what is no UTF-8 (overlong forms and surrogates included) and control characters
// other than tab and newline become U+FFFD, one for each byte.
std::string printable_utf8(std::string_view bytes);

}  // namespace convoy
