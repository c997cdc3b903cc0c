// libconvoy_fake.so: the fake device (core/device/fake), whose kernels are the CPU's, for tests of plans and of how
// modules are loaded.
#include "core/device/fake/fake_device.h"
#include "core/graph/device_module.h"

namespace convoy {
namespace {

PreparedPtr prepare_on_host(const OpPtr& op, const PrepareArgs& args) {
  CpuDevice& host = static_cast<FakeDevice&>(args.device).host();
  return prepare(op, {args.inputs, args.outputs, host, args.scratch});
}

// Those that no model applies, and that passes make of others (core/graph/passes).
constexpr const char* kMadeByPasses[] = {"constant", "repeat", "reorder", "fused_elementwise", "fused_reduction"};

constexpr DeviceModule kModule{.version = kDeviceModuleVersion,
                               .make = [](const DeviceOptions& options) -> std::unique_ptr<Device> {
                                 return std::make_unique<FakeDevice>(options.seed);
                               },
                               .add_kernels =
                                   [](KernelTable& table, std::span<const std::string> operators) {
                                     table.set_copy([](const Tensor& from, const Tensor& to) {
                                       return prepared([from, to] { copy_elements(from, to); });
                                     });
                                     for (const std::string& op : operators) table.add(op, prepare_on_host);
                                     for (const char* const op : kMadeByPasses) table.add(op, prepare_on_host);
                                   }};

}  // namespace
}  // namespace convoy

extern "C" __attribute__((visibility("default"))) const convoy::DeviceModule* convoy_device_module() {
  return &convoy::kModule;
}
