#include "worker/outbox.h"

#include <utility>
#include <variant>

namespace convoy::worker {

void Outbox::add(std::int64_t step, cluster::Body body) { reports_.push_back({.step = step, .body = std::move(body)}); }

// Messages arrive in order: once a step is on record, so is whatever was said of the steps before it.
void Outbox::recorded(std::int64_t step) {
  std::erase_if(reports_, [step](const Report& report) {
    return report.step < step || (report.step == step && std::holds_alternative<cluster::StepReport>(report.body));
  });
}

}  // namespace convoy::worker
