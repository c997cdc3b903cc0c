// Named parameters of a model. Modules declare them; whoever runs the model binds them to memory (an arena of buckets)
// and initialises them.
#pragma once

#include <cstdint>
#include <memory>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

#include "core/tensor/tensor.h"

namespace convoy {

// Parameters of one group share their optimizer settings.
enum class ParameterGroup : std::uint8_t {
  kDecay,    // weights of matrices and embeddings
  kNoDecay,  // biases and norm gains: no weight decay
  // Running statistics: no gradient moves them. A training pass emits what it contributes (Recorder::emit), the
  // update writes them from the sums over all shards.
  kStatistics,
};

// How a parameter starts: constant, or random numbers that are a pure function of (seed, name, element).
struct Initializer {
  enum class Kind : std::uint8_t { kConstant, kNormal } kind = Kind::kConstant;
  double value = 0.0;  // the constant, or the standard deviation of a zero-mean normal distribution

  static Initializer constant(double value) { return {Kind::kConstant, value}; }
  static Initializer normal(double deviation) { return {Kind::kNormal, deviation}; }
};

// A handle: copies name the same parameter, so that a tied weight is one parameter used in two places.
class Parameter {
 public:
  Parameter() = default;
  Parameter(std::string name, Shape shape, Initializer initializer, ParameterGroup group);

  const std::string& name() const { return body_->name; }
  const Shape& shape() const { return body_->shape; }
  std::int64_t elements() const { return body_->shape.elements(); }
  ParameterGroup group() const { return body_->group; }
  const Initializer& initializer() const { return body_->initializer; }

  // The bound tensor; throws Error(kInternal) before bind().
  const Tensor& value() const;
  // `value` must have the parameter's shape. Before any step: this and initialize() throw Error(kInvalidArgument) with
  // the place while a step is captured.
  void bind(Tensor value, std::source_location where = std::source_location::current()) const;
  // Writes the initial values into the bound tensor (fp32).
  void initialize(std::uint64_t seed, std::source_location where = std::source_location::current()) const;

 private:
  struct Body {
    std::string name;
    Shape shape;
    Initializer initializer;
    ParameterGroup group;
    Tensor value;
  };
  std::shared_ptr<Body> body_;
};

using Parameters = std::vector<Parameter>;

// Where a module declares its parameters: a list and the dotted prefix of the module's name.
class ParameterScope {
 public:
  explicit ParameterScope(Parameters& list, std::string prefix = "") : list_(list), prefix_(std::move(prefix)) {}
  // The scope of a child module: "h.0" / "attn" is "h.0.attn".
  ParameterScope operator/(std::string_view child) const;
  // Throws Error(kUsage) for an extent below 1 and for more than 2^44 elements.
  Parameter add(std::string_view name, const Shape& shape, Initializer initializer, ParameterGroup group) const;

 private:
  Parameters& list_;
  std::string prefix_;
};

}  // namespace convoy
