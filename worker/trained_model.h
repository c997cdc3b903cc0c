// A checkpoint opened to be used: what `convoy eval` and `convoy export` start from.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "core/data/dataset.h"
#include "core/device/cpu_device.h"
#include "worker/manifest.h"
#include "worker/replica.h"
#include "worker/workload.h"

namespace convoy::worker {

struct TrainedModel {
  std::string checkpoint;
  Manifest manifest;
  Recipe recipe;
  std::unique_ptr<Dataset> dataset;
  std::unique_ptr<CpuDevice> device;
  std::unique_ptr<Replica> replica;  // with the checkpoint's parameters
};

struct TrainedModelOptions {
  std::string source;                        // a run directory or a checkpoint in it
  std::span<const std::string> overrides{};  // of where the data lie and what computes; others are refused
  std::string purpose;                       // "an evaluation", for messages
  std::string precision{};                   // instead of what the recipe says
  std::function<void(const std::string&)> warn = [](const std::string&) {};  // of checkpoints that are damaged
};

// Throws Error(kUsage) for what cannot be opened so, Error(kDataLoss) naming the file that is damaged.
TrainedModel open_trained_model(const TrainedModelOptions& options, const Workload& workload);

}  // namespace convoy::worker
