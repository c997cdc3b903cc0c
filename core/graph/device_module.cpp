#include "core/graph/device_module.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <vector>

#include "core/base/error.h"
#include "core/graph/registry.h"

namespace convoy {
namespace {

const DeviceModule& load_module(std::string_view kind, std::span<const std::string> paths) {
  std::string tried;
  for (const std::string& path : paths) {
    void* const handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
      const char* const reason = dlerror();
      tried += fmt::format("{}{}", tried.empty() ? "" : "; ", reason != nullptr ? reason : path);
      continue;
    }
    const auto symbol = reinterpret_cast<const DeviceModule* (*)()>(dlsym(handle, kDeviceModuleSymbol));
    const DeviceModule* const module = symbol != nullptr ? symbol() : nullptr;
    if (module == nullptr || module->version != kDeviceModuleVersion)
      fail(ErrorCode::kUsage, "{}: not the module of \"{}\" devices of this build of Convoy", path, kind);
    return *module;
  }
  fail(ErrorCode::kUsage, "a \"{}\" device needs {}, which was looked for: {}", kind, device_module_name(kind),
       tried.empty() ? "nowhere" : tried);
}

}  // namespace

std::string device_module_name(std::string_view kind) { return fmt::format("libconvoy_{}.so", kind); }

std::unique_ptr<Device> load_device(std::string_view kind, std::span<const std::string> paths,
                                    const DeviceOptions& options) {
  const DeviceModule& module = load_module(kind, paths);
  std::unique_ptr<Device> device = module.make(options);
  const std::vector<std::string> operators = registered_ops();
  module.add_kernels(kernels_of(*device), operators);
  return device;
}

}  // namespace convoy
