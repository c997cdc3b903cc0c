#include "core/nn/parameter.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <span>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/base/philox.h"
#include "core/graph/recorder.h"
#include "core/tensor/not_capturable.h"

namespace convoy {

Parameter::Parameter(std::string name, Shape shape, Initializer initializer, ParameterGroup group)
    : body_(std::make_shared<Body>(Body{std::move(name), shape, initializer, group, Tensor()})) {}

const Tensor& Parameter::value() const {
  if (!body_->value.defined()) fail(ErrorCode::kInternal, "parameter {} is not bound to memory", name());
  return body_->value;
}

void Parameter::bind(Tensor value, std::source_location where) const {
  if (Recorder::capturing()) not_capturable(where, fmt::format("parameter {} is bound to memory", name()));
  if (value.shape() != shape())
    fail(ErrorCode::kInternal, "parameter {} has shape {}, bound to {}", name(), shape().to_string(),
         value.shape().to_string());
  value.make_state();
  body_->value = std::move(value);
}

void Parameter::initialize(std::uint64_t seed, std::source_location where) const {
  if (Recorder::capturing()) not_capturable(where, fmt::format("parameter {} is initialised", name()));
  value().written();
  const std::span<float> values(value().data<float>(), static_cast<std::size_t>(elements()));
  if (initializer().kind == Initializer::Kind::kConstant) {
    std::fill(values.begin(), values.end(), static_cast<float>(initializer().value));
    return;
  }
  // Box & Muller 1958: one Philox block gives two pairs of uniforms, hence four normals.
  const PhiloxKey key = mix(seed, xxh3_64(std::as_bytes(std::span(name()))));
  for (std::size_t i = 0; i < values.size(); i += 4) {
    const std::array<std::uint32_t, 4> bits = philox({static_cast<std::uint32_t>(i / 4), 0, 0, 0}, key);
    for (std::size_t pair = 0; pair < 4; pair += 2) {
      const double radius = std::sqrt(-2.0 * std::log((bits[pair] + 0.5) * 0x1p-32));
      const double angle = 2.0 * std::numbers::pi * (bits[pair + 1] * 0x1p-32);
      const double scale = initializer().value * radius;
      const double cosine = std::cos(angle), sine = std::sin(angle);  // both at once, as one call
      if (i + pair < values.size()) values[i + pair] = static_cast<float>(scale * cosine);
      if (i + pair + 1 < values.size()) values[i + pair + 1] = static_cast<float>(scale * sine);
    }
  }
}

namespace {

// More than any machine holds, and far below where a product of extents overflows.
constexpr int kMaxElementBits = 44;

// Extents come from recipes, and a program's own keys have no ranges.
void check_extents(const std::string& name, const Shape& shape) {
  std::int64_t room = std::int64_t{1} << kMaxElementBits;
  for (const std::int64_t extent : shape) {
    if (extent < 1)
      fail(ErrorCode::kUsage, "parameter {}: expected extents of at least 1, found {}", name, shape.to_string());
    room /= extent;
  }
  if (room == 0)
    fail(ErrorCode::kUsage, "parameter {}: expected at most 2^{} elements, found {}", name, kMaxElementBits,
         shape.to_string());
}

}  // namespace

ParameterScope ParameterScope::operator/(std::string_view child) const {
  return ParameterScope(list_, prefix_.empty() ? std::string(child) : prefix_ + "." + std::string(child));
}

Parameter ParameterScope::add(std::string_view name, const Shape& shape, Initializer initializer,
                              ParameterGroup group) const {
  Parameter parameter((*this / name).prefix_, shape, initializer, group);
  check_extents(parameter.name(), shape);
  for (const Parameter& other : list_) {
    if (other.name() == parameter.name()) fail(ErrorCode::kInternal, "two parameters are named {}", other.name());
  }
  list_.push_back(parameter);
  return parameter;
}

}  // namespace convoy
