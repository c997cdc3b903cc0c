// Models for tests of the exporter: a function of tensors, captured and exported.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/device/cpu_device.h"
#include "core/graph/capture.h"
#include "core/io/onnx/export.h"

namespace convoy {

class ExportedTest : public testing::Test {
 protected:
  // `function` of x, whose first extent is "batch".
  SizedGraph sized(const Shape& sample, const std::function<Tensor(const Tensor&)>& function,
                   DType dtype = DType::kF32) {
    return SizedGraph({{"batch", 0, 0, {2, 3, 5}}}, [&, sample, dtype](std::span<const std::int64_t> sizes) {
      Capture capture(device_);
      for (std::size_t i = 0; i < weights_.size(); ++i) capture.state("w" + std::to_string(i), weights_[i]);
      Shape shape{sizes[0]};
      for (const std::int64_t extent : sample) shape.append(extent);
      capture.result("y", function(capture.input("x", {dtype, shape, &device_})));
      return capture.finish();
    });
  }
  OnnxModel exported(const Shape& sample, const std::function<Tensor(const Tensor&)>& function,
                     DType dtype = DType::kF32) {
    return export_onnx(sized(sample, function, dtype), weights_);
  }
  // A parameter of the model.
  Tensor weight(const Shape& shape) {
    weights_.push_back(Tensor::zeros({DType::kF32, shape, &device_}));
    return weights_.back();
  }

  static std::vector<std::string> ops(const OnnxModel& model) {
    std::vector<std::string> names;
    for (const OnnxNode& node : model.nodes) names.push_back(node.op);
    return names;
  }

  static std::string refusal(const std::function<void()>& action) {
    try {
      action();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUsage);
      return error.what();
    }
    return "";
  }

  CpuDevice device_;
  Tensors weights_;
};

}  // namespace convoy
