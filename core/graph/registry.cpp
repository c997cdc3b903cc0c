#include "core/graph/registry.h"

#include <map>

#include "core/base/error.h"

namespace convoy {
namespace {

std::map<std::string, OpFactory, std::less<>>& table() {
  static std::map<std::string, OpFactory, std::less<>> ops;
  return ops;
}

}  // namespace

RegisterOp::RegisterOp(std::string_view name, OpFactory factory) { table().emplace(name, factory); }

std::vector<std::string> registered_ops() {
  std::vector<std::string> names;
  for (const auto& [name, factory] : table()) names.push_back(name);
  return names;
}

OpPtr make_op(std::string_view name) {
  const auto found = table().find(name);
  if (found == table().end() || found->second == nullptr)
    fail(ErrorCode::kInternal, "there is no operator '{}' without attributes", name);
  return found->second();
}

}  // namespace convoy
