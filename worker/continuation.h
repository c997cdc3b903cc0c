// Text by a trained language model: one token after the other, each drawn from what the model expects.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "core/device/cpu_device.h"
#include "core/nn/model.h"

namespace convoy::worker {

struct ContinuationOptions {
  std::int64_t context = 0;  // tokens that the model can see at once
  std::int64_t tokens = 0;   // to draw
  double temperature = 0.8;  // 0: always the likeliest token
  std::uint64_t seed = 0;    // the same seed draws the same tokens
};

// Continues `tokens` (not empty) and hands over each new token.
void continue_tokens(const Model& model, CpuDevice& device, std::vector<std::int32_t> tokens,
                     const ContinuationOptions& options, const std::function<void(std::int32_t)>& on_token);

}  // namespace convoy::worker
