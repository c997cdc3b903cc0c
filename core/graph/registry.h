// The names of all operators, as their source files registered them. Filled before main() and constant from then on;
// the table-driven operator test refuses a name it has no row for.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/graph/op.h"

namespace convoy {

using OpFactory = OpPtr (*)();

// One file-scope constant per operator: `const RegisterOp kAdd("add", [] { … });`. The factory may be null for ops
// that cannot be made without attributes.
class RegisterOp {
 public:
  explicit RegisterOp(std::string_view name, OpFactory factory = nullptr);
};

std::vector<std::string> registered_ops();  // sorted

// The attribute-free op of that name; throws Error(kInternal) if there is none.
OpPtr make_op(std::string_view name);

}  // namespace convoy
