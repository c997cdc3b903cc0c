// A graph captured in a test.
#pragma once

#include <functional>
#include <string>

#include "core/device/cpu_device.h"
#include "core/graph/capture.h"
#include "core/graph/graph.h"

namespace convoy {

class SmallGraph {
 public:
  // f(capture) declares inputs and results and applies operators.
  template <typename F>
  Graph capture(const F& f) {
    Capture capture(device_);
    f(capture);
    return capture.finish();
  }
  // What a pass makes of it, as text.
  template <typename F>
  std::string after(Graph (*pass)(const Graph&), const F& f) {
    const Graph graph = pass(capture(f));
    verify(graph);
    return to_text(graph);
  }
  Spec f32(const Shape& shape) { return {DType::kF32, shape, &device_}; }
  Spec bf16(const Shape& shape) { return {DType::kBF16, shape, &device_}; }
  Spec f64(const Shape& shape) { return {DType::kF64, shape, &device_}; }
  CpuDevice& device() { return device_; }

 private:
  CpuDevice device_;
};

}  // namespace convoy
