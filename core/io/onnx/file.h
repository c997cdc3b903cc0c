// Writes an ONNX model to disk, whole or not at all (core/base/durable_file.h).
#pragma once

#include <cstdint>
#include <string>

#include "core/io/onnx/model.h"

namespace convoy {

struct OnnxFileOptions {
  // A model is one protobuf message, which holds less than 2 GiB. A larger one keeps its weights in `PATH.data` beside
  // it, as ONNX's external data.
  std::int64_t most_bytes = (std::int64_t{1} << 31) - 1;
};

struct WrittenOnnx {
  std::int64_t bytes = 0;   // of both files
  std::string data_path{};  // empty: the weights are in the model itself
};

// Equal models give equal bytes. Weights go from their tensors to the file, without a copy of all. An old model at
// `path` never stands beside another one's weights. Throws Error(kUnavailable) that names the file.
WrittenOnnx write_onnx(const std::string& path, const OnnxModel& model, const OnnxFileOptions& options = {});

}  // namespace convoy
