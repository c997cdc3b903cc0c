// Devices that come from modules: shared libraries, libconvoy_<kind>.so, that are loaded when somebody asks for such a
// device, so that a program starts and runs where the libraries that it would need are not there.
//
// A module shares no code with the program but what headers define, and virtual functions. It gives one function,
// `convoy_device_module`, whose version must be the program's: both come from one build.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/graph/device_kernels.h"

namespace convoy {

struct DeviceOptions {
  int ordinal = 0;         // which one of several
  std::uint64_t seed = 0;  // of what the fake device draws
};

inline constexpr std::uint32_t kDeviceModuleVersion = 1;
inline constexpr char kDeviceModuleSymbol[] = "convoy_device_module";

struct DeviceModule {
  std::uint32_t version;
  std::unique_ptr<Device> (*make)(const DeviceOptions& options);
  // Adds the kernels of those operators that the module has one for.
  void (*add_kernels)(KernelTable& table, std::span<const std::string> operators);
};

// "libconvoy_fake.so".
std::string device_module_name(std::string_view kind);

// A device of that kind, with its kernels, from the first of `paths` at which its module is found. The module stays
// loaded. Throws Error(kUsage) that says where it was looked for.
std::unique_ptr<Device> load_device(std::string_view kind, std::span<const std::string> paths,
                                    const DeviceOptions& options = {});

}  // namespace convoy
