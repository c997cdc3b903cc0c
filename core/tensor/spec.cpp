#include "core/tensor/spec.h"

namespace convoy {

std::string Spec::to_string() const { return std::string(name_of(dtype)) + shape.to_string(); }

}  // namespace convoy
