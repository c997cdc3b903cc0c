#include "core/graph/op.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/base/error.h"

namespace convoy {
namespace {

class Printer final : public AttributeVisitor {
 public:
  void visit(std::string_view name, std::int64_t value) override { add(name, fmt::to_string(value)); }
  void visit(std::string_view name, double value) override { add(name, fmt::to_string(value)); }
  void visit(std::string_view name, std::string_view value) override { add(name, std::string(value)); }
  void visit(std::string_view name, std::span<const std::int64_t> value) override {
    add(name, fmt::format("[{}]", fmt::join(value, ", ")));
  }
  std::string text;

 private:
  void add(std::string_view name, const std::string& value) {
    text += fmt::format("{}{}={}", text.empty() ? "" : ", ", name, value);
  }
};

}  // namespace

Tensors Op::vjp(const VjpArgs&) const { fail(ErrorCode::kInvalidArgument, "{} has no gradient", name()); }

std::optional<Layout> Op::view(const Layout&) const { fail(ErrorCode::kInternal, "{} is not a view", name()); }

void Op::run_cpu(KernelArgs&) const { fail(ErrorCode::kInternal, "{} has no CPU kernel", name()); }

void Op::run_tile_cpu(const TileArgs&) const { fail(ErrorCode::kInternal, "{} does not run in pieces", name()); }

std::string describe(const Op& op) {
  Printer printer;
  op.attributes(printer);
  return fmt::format("{}({})", op.name(), printer.text);
}

}  // namespace convoy
