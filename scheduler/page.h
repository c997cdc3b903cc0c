// scheduler/page.html, as it stands in the source tree: CMake builds it in.
#pragma once

#include <string_view>

namespace convoy::scheduler {

extern const std::string_view kPage;

}  // namespace convoy::scheduler
