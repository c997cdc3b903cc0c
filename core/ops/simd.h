// Which instruction sets the vector kernels are compiled for: the baseline, AVX2 and AVX-512, picked at run time.
// Include before hwy/foreach_target.h.
#pragma once

#include "hwy/detect_targets.h"

#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
