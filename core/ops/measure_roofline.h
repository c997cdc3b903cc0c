// How fast a device is at best, measured with its own kernels in some tenths of a second.
#pragma once

#include "core/device/cpu_device.h"
#include "core/graph/roofline.h"

namespace convoy {

// Products of square matrices that stay in cache, and sums of tensors that do not; the best of several runs each.
Roofline measure_roofline(CpuDevice& device);

}  // namespace convoy
