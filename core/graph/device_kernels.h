// The kernels of a device that is not the CPU, by the names of the operators. The device's module fills the table when
// it is loaded; plans ask it for each of their calls (prepare() in core/graph/op.h).
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "core/graph/op.h"

namespace convoy {

class KernelTable {
 public:
  // Makes a kernel ready, as Op::prepare() does for the CPU's; the operator's attributes are read by a visitor. The
  // call's run() does the work on the stream that it is launched on.
  using Prepare = PreparedPtr (*)(const OpPtr& op, const PrepareArgs& args);
  // Makes a copy of elements ready, between tensors of one dtype and shape in any layouts.
  using PrepareCopy = PreparedPtr (*)(const Tensor& from, const Tensor& to);

  void add(std::string_view op, Prepare prepare) { kernels_.insert_or_assign(std::string(op), prepare); }
  // Null where the device has none.
  Prepare find(std::string_view op) const {
    const auto found = kernels_.find(op);
    return found == kernels_.end() ? nullptr : found->second;
  }
  void set_copy(PrepareCopy prepare) { copy_ = prepare; }
  PrepareCopy copy() const { return copy_; }

 private:
  PrepareCopy copy_ = nullptr;
  std::map<std::string, Prepare, std::less<>> kernels_;
};

// A kernel's call, or a copy's, on a device with streams. Throws Error(kUnavailable) where it has none.
PreparedPtr prepare_on_device(const OpPtr& op, const PrepareArgs& args);
PreparedPtr prepare_copy_on_device(const Tensor& from, const Tensor& to);

// That of a device; part of it, like all that Device::local() gives.
inline KernelTable& kernels_of(Device& device) { return device.local<KernelTable>(); }

}  // namespace convoy
