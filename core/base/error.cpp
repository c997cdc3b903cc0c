#include "core/base/error.h"

#include <system_error>

namespace convoy {

std::string errno_text(int error) { return std::generic_category().message(error); }

}  // namespace convoy
