#include "core/graph/op.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>

#include "core/base/error.h"
#include "core/device/streams.h"
#include "core/graph/device_kernels.h"

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

PreparedPtr Op::prepare(const PrepareArgs&) const { fail(ErrorCode::kInternal, "{} has no CPU kernel", name()); }

PreparedPtr prepare(const OpPtr& op, const PrepareArgs& args) {
  return streams_of(args.device) != nullptr ? prepare_on_device(op, args) : op->prepare(args);
}

void Op::run_tile_cpu(const TileArgs&) const { fail(ErrorCode::kInternal, "{} does not run in pieces", name()); }

std::optional<Again> Op::again(std::size_t, std::span<const Spec>) const { return {}; }

Cost Op::cost(std::span<const Spec> inputs, std::span<const Spec> outputs) const {
  if (traits().view) return {};
  std::int64_t read = 0, written = 0;
  for (const Spec& input : inputs) read += input.shape.elements();
  for (const Spec& output : outputs) written += output.shape.elements();
  return {.flops = static_cast<double>(std::max(read, written)), .bytes = bytes_of(inputs, outputs)};
}

double bytes_of(std::span<const Spec> inputs, std::span<const Spec> outputs) {
  double bytes = 0.0;
  for (const Spec& input : inputs) bytes += static_cast<double>(input.bytes());
  for (const Spec& output : outputs) bytes += static_cast<double>(output.bytes());
  return bytes;
}

std::string describe(const Op& op) {
  Printer printer;
  op.attributes(printer);
  return fmt::format("{}({})", op.name(), printer.text);
}

}  // namespace convoy
