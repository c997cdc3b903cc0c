#include "core/tensor/not_capturable.h"

#include <fmt/format.h>

#include "core/base/error.h"

namespace convoy {

void not_capturable(std::source_location where, const std::string& what) {
  const std::string place = where.line() > 0 ? fmt::format("{}:{}: ", where.file_name(), where.line()) : "";
  fail(ErrorCode::kInvalidArgument,
       "{}{} while the step is captured as a graph; train.graph = \"dynamic\" runs such a step line by line", place,
       what);
}

}  // namespace convoy
