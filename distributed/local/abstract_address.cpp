#include "distributed/local/abstract_address.h"

#include <cstddef>
#include <cstring>

#include "core/base/error.h"

namespace convoy::distributed {

AbstractAddress::AbstractAddress(const std::string& name) {
  address_.sun_family = AF_UNIX;
  if (name.empty() || name.size() + 1 > sizeof(address_.sun_path))
    fail(ErrorCode::kInvalidArgument, "'{}' is not a name for a local socket", name);
  std::memcpy(address_.sun_path + 1, name.data(), name.size());
  length_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
}

}  // namespace convoy::distributed
