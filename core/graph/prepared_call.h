// A kernel that is ready to run on tensors whose memory is fixed for good. What does not depend on elements was done
// when it was made ready: shapes, which kernel, primitives, memory to work in. A run allocates and looks up nothing.
#pragma once

#include <memory>
#include <utility>

#include "core/graph/step_key.h"

namespace convoy {

class PreparedCall {
 public:
  virtual ~PreparedCall() = default;
  // Only from the thread that runs the device's kernels.
  virtual void run(const StepKey& key) = 0;
};

using PreparedPtr = std::unique_ptr<PreparedCall>;

// One whose run is body(key), or body() where nothing in it is random.
template <typename Body>
PreparedPtr prepared(Body body) {
  class Call final : public PreparedCall {
   public:
    explicit Call(Body&& body) : body_(std::move(body)) {}
    void run(const StepKey& key) override {
      if constexpr (requires { body_(key); }) {
        body_(key);
      } else {
        body_();
      }
    }

   private:
    Body body_;
  };
  return std::make_unique<Call>(std::move(body));
}

}  // namespace convoy
