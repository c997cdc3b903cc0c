#include "core/ops/constant.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/hash.h"
#include "core/graph/apply.h"
#include "core/graph/recorder.h"
#include "core/graph/registry.h"
#include "core/ops/kernel.h"

namespace convoy {
namespace {

class Constant final : public Op {
 public:
  Constant(const Spec& spec, std::span<const double> values)
      : spec_(spec), values_(std::make_shared<const std::vector<double>>(values.begin(), values.end())) {}

  std::string_view name() const override { return "constant_values"; }
  Traits traits() const override { return {.gradient_reads_outputs = 0}; }
  void attributes(AttributeVisitor& visitor) const override {
    visitor.visit("dtype", name_of(spec_.dtype));
    visitor.visit("shape", std::span(spec_.shape.begin(), spec_.shape.end()));
    Xxh3Hasher128 hasher;
    hasher.update(std::as_bytes(std::span(*values_)));
    visitor.visit("values", std::string_view(hasher.hex()));
  }
  Specs infer(std::span<const Spec> in) const override {
    check_count(name(), in, 0);
    if (!is_floating(spec_.dtype))
      fail(ErrorCode::kInvalidArgument, "constant_values: got {}; expected f32, f64 or bf16", name_of(spec_.dtype));
    if (static_cast<std::int64_t>(values_->size()) != spec_.elements())
      fail(ErrorCode::kInvalidArgument, "constant_values: got {} values; expected as many as {} has", values_->size(),
           spec_.shape.to_string());
    return {spec_};
  }
  Tensors vjp(const VjpArgs&) const override { return {}; }
  PreparedPtr prepare(const PrepareArgs& args) const override {
    return with_floating(spec_.dtype, [&]<typename T>(T) {
      return prepared([values = values_, y = args.outputs[0].data<T>()] {
        std::transform(values->begin(), values->end(), y, [](double value) { return static_cast<T>(value); });
      });
    });
  }

 private:
  Spec spec_;
  std::shared_ptr<const std::vector<double>> values_;
};

const RegisterOp kRegistered("constant_values");

}  // namespace

Tensor constant(DType dtype, const Shape& shape, std::span<const double> values) {
  return apply_one(std::make_shared<Constant>(Spec{dtype, shape, &Recorder::current().device()}, values), {});
}

}  // namespace convoy
